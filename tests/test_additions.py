"""docs/project/additions.md: its diffs apply to this version, and what they add works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import additions

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "project" / "additions.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n.*?^```diff\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))

# Uses everything that the diffs add, in one process.
USED = """
import io, sys
from contextlib import redirect_stdout
import isavae
from isavae.cli import main
from isavae.figures import latent_spreads
from isavae.metrics import METRICS

assert isavae.__file__.startswith(sys.argv[1]), isavae.__file__

def said(*words):
    with redirect_stdout(io.StringIO()) as out:
        assert main(list(words)) == 0
    return out.getvalue()

shown = " ".join(said("train", "--help").split())
assert all(name in shown for name in ("gumbel", "free-bits", "objective.free", "mlp-gelu"))
assert "figure spreads" in said("--help")
assert "discs " in said("data", "list")
said(
    "train", "--data", "discs", "--prior", "gumbel", "--n-latents", "3", "--objective",
    "free-bits", "--objective.free", "2", "--network", "mlp-gelu", "--width", "8",
    "--batch-size", "32", "--steps", "5", "--out", "run"
)
assert "mean_correlation" in METRICS
said("evaluate", "run", "--metrics", "mean_correlation")
said("figure", "spreads", "run", "--out", "spreads.png")
run = isavae.Run.open("run")
assert run.finished() and run.metadata()["step"] == 5
"""


def apply(diff: str, folder: Path, *flags: str) -> None:
    command = ["git", "apply", *flags, "-"]
    done = subprocess.run(command, cwd=folder, input=diff, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}: see python -m tools.additions"


def test_there_is_one_diff_of_each_kind():
    assert [*SECTIONS] == [
        "A prior", "An objective", "A data set", "A score", "A network", "A figure",
    ]  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_each_diff_applies_to_this_version(section):
    apply(SECTIONS[section], ROOT, "--check")


def lines_of(path: str) -> list[str]:
    return (ROOT / path).read_text(encoding="utf-8").splitlines()


def test_a_diff_is_brought_up_to_date_with_the_lines_around_it():
    made = additions.refreshed(PAGE, lines_of)
    context = '     "conv": _conv,'
    assert context in made
    other = made.replace(context, context.replace("_conv", "_convolution"))
    other = re.sub(r"@@ -([1-9]\d*),(\d+) \+", lambda m: f"@@ -{int(m[1]) + 3},{m[2]} +", other)
    assert other != made
    assert additions.refreshed(other, lines_of) == made


def test_a_diff_whose_removed_line_has_changed_is_refused():
    removed = "-AnyObjective = BetaVAE | BetaTCVAE"
    assert removed in PAGE
    with pytest.raises(ValueError, match=r"objectives.py must hold .*mend this diff by hand"):
        additions.refreshed(PAGE.replace(removed, removed.replace("Beta", "Alpha")), lines_of)


@pytest.mark.slow
def test_what_the_diffs_add_works(tmp_path):
    copy = tmp_path / "isavae"
    for name in ("src", "tests", "docs"):
        ignored = shutil.ignore_patterns("__pycache__", "_build", "images")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for diff in SECTIONS.values():
        apply(diff, copy)
    made = {**os.environ, "PYTHONPATH": str(copy / "src"), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", USED, str(copy)]
    used = subprocess.run(command, cwd=tmp_path, env=made, capture_output=True, text=True)
    assert used.returncode == 0, used.stderr
    assert (tmp_path / "spreads.png").read_bytes().startswith(b"\x89PNG")
