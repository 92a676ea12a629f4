"""The pages of evidence are what their tables say."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isavae.data import load
from isavae.studies import Study
from tools import along_training, evidence, fronts, intervals
from tools.runs import read_runs

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


def test_the_angle_of_axes_is_that_of_their_planes():
    """Latents along x and y have 0 degrees, both turned by 30 have 30; noise is left out."""
    rng = np.random.default_rng(0)
    grid = load("dsprites32").sample(500, 0).grid
    position = grid.labels_array()[:, [grid.names.index(name) for name in ("posX", "posY")]] / 31
    noise = rng.normal(size=(500, 2))
    for turned in (0, 30):
        cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
        latents = np.hstack([position @ [[cos, -sin], [sin, cos]], noise])
        found = along_training.position_axes(latents, grid)
        assert found["angle"] == pytest.approx(turned, abs=1e-6)
        assert found["position_r2"] == pytest.approx(1)


@pytest.mark.system
def test_runs_are_looked_at_on_the_way_and_an_interrupted_table_goes_on(tmp_path):
    settings = {"data": "dsprites32", "width": 8, "batch_size": 16, "steps": 30, "n_latents": 3}
    study = Study.parse(
        {
            "name": "two",
            "seeds": 2,
            "settings": settings,
            "runs": [{"model": "beta-vae", "beta": 1}],
        }
    )
    out = tmp_path / "angles.csv"
    along_training.angles_of_study(study, out, [1.0], seeds=1)
    first = read_runs(out)
    assert first["step"].to_list() == [0, 25, 30]
    assert first["angle"].is_between(0, 45).all()
    along_training.angles_of_study(study, out, [1.0], seeds=2)
    both = read_runs(out)
    assert both[:3].equals(first)
    assert both["seed"].to_list() == [0] * 3 + [1] * 3
    kept = read_runs(ROOT / "results/angles.csv")
    assert both.schema == kept.schema


def test_the_table_of_exponents_has_the_columns_of_the_tool():
    model, values = None, {f"p{k}": 2.0 for k in range(1, 6)} | {"reconstruction": -1.0, "kl": 1.0}
    found = along_training.exponents_of(model, values)
    kept = pl.read_csv(ROOT / "results/exponents.csv")
    assert kept.columns == ["data", "seed", "step", *found]
