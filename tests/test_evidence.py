"""The pages of evidence are what their tables say."""

import re
from pathlib import Path

import pytest

from tools import evidence, fronts, intervals

ROOT = Path(__file__).parents[1]


@pytest.mark.system
@pytest.mark.parametrize("tool", [evidence, fronts])
def test_a_page_is_that_of_its_tables(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 200)
    monkeypatch.setattr(tool, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(tool, "FIGURE", tmp_path / "figure.png")
    kept = (ROOT / "docs" / f"{tool.__name__.removeprefix('tools.')}.md").read_text()
    tool.write_page()
    assert _without_intervals((tmp_path / "page.md").read_text()) == _without_intervals(kept)


def _without_intervals(page: str) -> str:
    """What does not depend on a random generator: without intervals, and p of permutations."""
    return re.sub(r"\[[+-]?\d.*?\]|\| 0\.\d{4} \||≈ [\d.e-]+", "", page)
