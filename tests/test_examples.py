"""The examples run as they stand, and say something true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SLOW = {"digits", "faces"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem)
        for path in EXAMPLES
    ],
)
def test_example(path):
    ran = subprocess.run([sys.executable, "-W", "error", str(path)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    losses = [float(loss) for loss in re.findall(r"step +\d+: (-?[\d.]+) nats", ran.stdout)]
    assert ran.stdout
    assert losses == sorted(losses, reverse=True)
    left = re.findall(r"variance left unexplained: (\d+)%", ran.stdout)
    assert all(int(percent) < 60 for percent in left)
    right = re.findall(r"([\d.]+)% of the others right", ran.stdout)
    assert all(int(percent) > 75 for percent in right)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_readme_runs_without_the_others(number):
    exec(compile(PROGRAMS[number], "README.md", "exec"), {})


def test_the_readme_has_a_program_of_each_use_in_python():
    used = [re.findall(r"isavae\.(\w+)\(", program)[:1] for program in PROGRAMS]
    assert used == [["LpNested"], ["Codes"], ["ISAVAE"]]
