"""What a run of the tests says of those that it skipped."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]


def test_one_line_counts_what_was_skipped_and_says_what_to_install():
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/explorer/test_page.py"],
        cwd=ROOT, env=os.environ | {"PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    line = r"^(\d+) skipped: needs Chromium: apt-get install chromium \(\1\)$"
    assert len(re.findall(line, ended.stdout, re.MULTILINE)) == 1, ended.stdout


def test_every_skip_says_what_it_needs():
    texts = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    skips = r"(?:mark\.skipif|pytest\.skip|importorskip)\((?:[^()]|\([^()]*\))*\)"
    found = [s for n, t in texts.items() if n != Path(__file__).name for s in re.findall(skips, t)]
    assert len(found) >= 10
    assert not [skip for skip in found if '"needs ' not in skip]
