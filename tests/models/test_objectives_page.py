"""docs/objectives.md: every command on it trains, and it names all there is to choose."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from isavae.cli import main
from isavae.models import FAMILIES, LIKELIHOODS, NETWORKS, OBJECTIVES
from isavae.runs import Run
from isavae.runs.config import PRESETS

pytestmark = pytest.mark.system

PAGE = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^isavae train --out run (.+)$", PAGE, flags=re.MULTILINE)
QUOTED = set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE))
DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
SMALL = ["--data", DATA, "--batch-size", "16", "--steps", "2"]


def trained(words, out) -> Run:
    assert main(["train", "--out", str(out), *words, *SMALL]) == 0
    run = Run.open(out)
    assert run.finished()
    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_train(command, tmp_path):
    words = shlex.split(command)
    words += [] if "--width" in words else ["--width", "8"]
    config = trained(words, tmp_path / "run").config
    for flag, given in re.findall(r"--objective\.([a-z-]+) (.+?)(?= --|$)", command):
        value = getattr(config.objective, flag.replace("-", "_"))
        if isinstance(value, tuple):
            assert [number for point in value for number in point] == [
                float(w) for w in given.split()
            ]
        else:
            assert type(value)(given) == value


@pytest.mark.parametrize("name", PRESETS)
def test_presets_train_and_are_on_the_page(name, tmp_path):
    config = trained(["--model", name, "--width", "8"], tmp_path / "run").config
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | `"))
    assert f"`{config.prior}`" in row
    assert f"`{config.objective.name}`" in row
    weight = config.objective.gamma if name == "factor-vae" else config.objective.beta
    assert f" = {weight:g} |" in row
    assert ("learned" in row) == config.learn_exponents


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_and_all_their_parameters_are_on_the_page(name):
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | `")]
    row = next(line for line in rows if OBJECTIVES[name].__name__ in line)
    parameters = row.split("|")[-2]
    for field in fields(OBJECTIVES[name]):
        if field.name != "name":
            assert f"`{field.name}`" in parameters
        if isinstance(field.default, float):
            said = re.search(rf"`{field.name}` ([\d.e-]+)", parameters)
            assert float(said[1]) == field.default


def test_every_choice_is_on_the_page():
    families = {re.sub(r"\(.*", "", name) for name in QUOTED}
    assert FAMILIES.keys() <= families
    assert {*LIKELIHOODS, *NETWORKS} <= QUOTED
