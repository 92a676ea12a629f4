"""The page of evidence is what its table says."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.system
def test_the_page_is_that_of_the_table(tmp_path):
    evidence = runpy.run_path(str(ROOT / "tools/evidence.py"))
    write_page = evidence["write_page"]
    write_page.__globals__.update(
        DRAWS=200, PAGE=tmp_path / "page.md", FIGURE=tmp_path / "figure.png"
    )
    write_page()
    kept, made = (
        (p / n).read_text() for p, n in ((ROOT / "docs", "evidence.md"), (tmp_path, "page.md"))
    )
    assert _without_intervals(made) == _without_intervals(kept)


def _without_intervals(page: str) -> str:
    """What does not depend on a random generator: without intervals, and p of permutations."""
    return re.sub(r"\[[+-]?\d.*?\]|\| 0\.\d{4} \||0[.]\d+: \d+", "", page)
