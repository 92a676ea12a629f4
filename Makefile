# Everything from nothing but Python 3.11 and make: each target sets up what it needs in .venv, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported; most never are.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt

# Tests start Python hundreds of times: let it keep what it has compiled, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo docs test test-matrix test-slow test-versions check format campaign bench-peers notebooks dist clean

setup: $(VENV)/.dev          ## the package and every development tool in .venv

$(BIN)/python:
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[data,metrics,report,explore]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run           ## train an ISA-VAE on dSprites, score it, save figures
	$(BIN)/isavae demo

check: $(VENV)/.dev          ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check --output-format=min-text
	$(BIN)/lint-imports

test: check                  ## the checks above, every test but the slow ones, the numerical ones again as an old CPU computes, a short campaign
	$(BIN)/python -m pytest -n auto --maxprocesses 4
	$(BIN)/python tests/matrix.py oldest
	$(BIN)/python -m tests.campaign --seconds 45

test-matrix: $(VENV)/.dev    ## the numerical tests under every CPU, thread count and precision, or only COMBINATIONS=native
	$(BIN)/python tests/matrix.py $(COMBINATIONS)

test-slow: $(VENV)/.dev      ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

campaign: $(VENV)/.dev       ## an hour of kills, full disks and hostile files; prints the seed that repeats it
	$(BIN)/python -m tests.campaign

test-versions:               ## the tests on each Python found, and with the lowest releases declared
	tools/test_versions.sh

bench-peers: .venv-peers/.done  ## a training step against pythae's and Lightning's, in an environment of its own
	.venv-peers/bin/python benchmarks/peers.py

.venv-peers/.done: pyproject.toml constraints.txt
	"$(PYTHON)" -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable . pythae==0.1.2 lightning
	@touch $@

docs: $(VENV)/.dev           ## run the tutorials with few steps, then make the site: docs/_build/html/index.html
	$(BIN)/python -m pytest -q tests/test_notebooks.py
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build/html

notebooks: $(VENV)/.dev      ## the tutorials as notebooks, without outputs, in docs/_build/notebooks/
	$(BIN)/python docs/notebooks.py

dist: $(VENV)/.dev           ## the wheel and the source archive of a release in dist/, checked; the same bytes for the same commit
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -d dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

format: $(VENV)/.dev         ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-peers .venv-versions dist docs/_build
