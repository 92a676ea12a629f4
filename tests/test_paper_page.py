"""docs/paper.md: every function, command, option, study and test that it names exists."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from isavae.cli.command_line import VERBS
from isavae.models import BetaTCVAE
from isavae.runs import RunConfig

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`]+)`", PAGE)


def quoted(pattern: str) -> list[str]:
    found = sorted({name for name in QUOTED if re.fullmatch(pattern, name)})
    assert found
    return found


@pytest.mark.parametrize("name", quoted(r"[a-z]+(\.\w+)+"))
def test_named_objects_can_be_imported(name):
    module, last = f"isavae.{name}".rsplit(".", 1)
    found = importlib.import_module(module)
    assert hasattr(found, last) or importlib.import_module(f"{module}.{last}")


@pytest.mark.parametrize("path", quoted(r"(tests|benchmarks)/\S+|studies/shipped/\S+"))
def test_named_files_exist(path):
    assert (ROOT / path).is_file() or (ROOT / "src" / "isavae" / path).is_file()


@pytest.mark.parametrize("command", quoted(r"isavae .+"))
def test_named_commands_are_verbs(command):
    words = command.split()[1:]
    assert {" ".join(words[:1]), " ".join(words[:2])} & set(VERBS)


@pytest.mark.parametrize("option", quoted(r"--.*"))
def test_named_options_are_settings(option):
    name = option.split()[0].lstrip("-").replace("-", "_")
    known = {*RunConfig.model_fields, "metrics"}
    parts = {f"objective.{field.name}" for field in fields(BetaTCVAE)}
    assert name in known | parts
