"""Extras: what is missing is named with the extra that brings it, and each one is enough alone."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

from isavae.cli.command_line import main
from isavae.errors import _EXTRAS

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Packages whose module has another name, or that another one of the extra brings.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "scipy": "scikit-learn"}
DISTRIBUTIONS |= {"anyio": "starlette"}

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
TRAINED = f'train --data "{DATA}" --prior "2[2*2, z]" --width 8 --batch-size 64 --steps 2 --out run'
PICTURES = """
import numpy as np
from PIL import Image
from pathlib import Path
Path("images").mkdir()
for i in range(70):
    pixels = np.random.default_rng(i).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(f"images/{i}.png")
"""
SCORED = """
import torch
from isavae.metrics.torchmetrics import CodesMetric
metric = CodesMetric("irs")
metric.update(torch.arange(9.0)[:, None], torch.arange(9) % 3)
assert 0 <= metric.compute() <= 1
"""
STUDY = f"""
name: tiny
seeds: 2
settings: {{data: "{DATA}", prior: "2[2*2, z]", width: 8, batch_size: 64, steps: 2}}
runs: [{{beta: 1}}]
images: null
"""
# The commands of each extra, after a run is trained with the base alone. `python` stands for the
# interpreter; a command that serves is stopped once it has said where.
COMMANDS = {
    "data": [f"python -c '{PICTURES}'", "isavae data inspect images", "isavae data list"],
    "metrics": ["isavae evaluate run --metrics supervised"],
    "report": ["isavae figure latents run --out out.png", "isavae study run study.yaml --out study",
               "isavae study results study", "isavae study report study"],
    "cluster": ["isavae study run study.yaml --out study --engine ray --workers 1"],
    "explore": ["timeout 60 isavae explore run --no-browser | grep -m 1 http"],
    "hub": ["isavae export run --out folder --format folder",
            "HF_HUB_OFFLINE=1 isavae push folder user/name 2>&1 | grep -v pip"],
    "track": ["isavae study run study.yaml --out study --track tensorboard",
              "ls study/runs/*/events*"],
    "onnx": ["isavae export run --out onnx --format onnx"],
    "remote": ["python -c 'import fsspec; fsspec.filesystem(\"s3\", anon=True)'",
               "python -c 'import isavae.studies.remote'"],
    "torchmetrics": [f"python -c '{SCORED}'"],
}  # fmt: skip


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in requirements}


def test_every_extra_is_in_the_readme_and_in_all():
    rest = {*EXTRAS} - {"all", "dev"}
    assert set(re.findall(r"[\w-]+", EXTRAS["all"][0].partition("[")[2])) == rest
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{extra}`" in text for extra in rest)
    assert {*COMMANDS} == rest


@pytest.mark.parametrize("module", _EXTRAS)
def test_the_extra_that_is_named_brings_the_package(module):
    extra = _EXTRAS[module]
    brought = names(EXTRAS[extra])
    package = DISTRIBUTIONS.get(module, module)
    assert package in brought
    # No extra brings it with less, but those that need polars for results, or Pillow for uploads.
    others = [e for e in {*EXTRAS} - {"all", "dev"} if package in names(EXTRAS[e])]
    if module not in ("polars", "PIL"):
        assert len(brought) == min(len(EXTRAS[e]) for e in {*others, extra})


def test_a_missing_package_is_named_with_its_extra_and_not_as_a_damaged_file(
    tmp_path, monkeypatch, capsys
):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = np.zeros((4, 8, 8), np.uint8)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["data", "inspect", str(tmp_path / "images.h5")]) == 2
    said = capsys.readouterr().err
    assert "this needs the package h5py: pip install 'isavae[data]'" in said
    assert "get the file again" not in said


def test_a_file_system_of_fsspec_names_its_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(import_module("fsspec.registry"), "_registry", {})
    assert main(["study", "status", "s3://bucket/study"]) == 2
    assert "pip install 'isavae[remote]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("extra", COMMANDS)
def test_each_extra_is_enough_alone(extra, tmp_path):
    """In an empty environment: without the extra its last command names it, with it all work."""
    tool = shutil.which("uv")
    if tool is None:
        pytest.skip("needs uv: pip install uv")
    python = tmp_path / "venv" / "bin" / "python"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = {"cwd": tmp_path, "capture_output": True, "text": True, "env": clean}
    subprocess.run([tool, "venv", "--python", sys.executable, tmp_path / "venv"], check=True)

    def install(what: str) -> None:
        command = [tool, "pip", "install", "--python", python]
        command += ["--constraint", ROOT / "constraints.txt", what]
        done = subprocess.run(command, **said)
        if "error sending request" in done.stderr or "dns error" in done.stderr:
            pytest.skip("needs a package index that answers")
        assert done.returncode == 0, done.stderr

    def run(command: str) -> subprocess.CompletedProcess[str]:
        command = f'PATH="{python.parent}:$PATH"; {command}'
        return subprocess.run(["bash", "-c", command], timeout=600, **said)

    (tmp_path / "study.yaml").write_text(STUDY)
    install(str(ROOT))
    for command in (f"isavae {TRAINED}", "isavae evaluate run"):
        done = run(command)
        assert done.returncode == 0, (command, done.stderr)
    without = [run(c) for c in COMMANDS[extra] if c.startswith("isavae") and "list" not in c]
    for done in without:
        assert "Traceback" not in done.stderr, done.stderr
    shutil.rmtree(tmp_path / "study", ignore_errors=True)
    install(f"{ROOT}[{extra}]")
    for command in COMMANDS[extra]:
        done = run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
