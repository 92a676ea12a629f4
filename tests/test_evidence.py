"""The pages of evidence are what their tables say."""

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


@pytest.mark.system
def test_the_page_of_fronts_is_that_of_its_tables(tmp_path):
    write_page = runpy.run_path(str(ROOT / "tools/fronts.py"))["write_page"]
    write_page.__globals__.update(
        DRAWS=200, PAGE=tmp_path / "page.md", FIGURE=tmp_path / "figure.png"
    )
    write_page()
    kept, made = (ROOT / "docs/fronts.md").read_text(), (tmp_path / "page.md").read_text()
    assert _without_intervals(made) == _without_intervals(kept)


def _without_intervals(page: str) -> str:
    """What does not depend on a random generator: without intervals, and p of permutations."""
    return re.sub(r"\[[+-]?\d.*?\]|\| 0\.\d{4} \||0[.]\d+: \d+", "", page)
