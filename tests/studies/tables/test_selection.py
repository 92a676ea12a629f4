"""Choosing a run: the paper's rule against scipy, UDR with ties and failures, scores by hand."""

import sys

import numpy as np
import polars as pl
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from isavae.cli.command_line import main
from isavae.metrics import Codes
from isavae.studies import StudyDirectory, results, select
from isavae.studies.engines import Job, run_job
from tests.study_runs import tiny_study
from tests.study_tables import scored, write_run, write_work

pytestmark = pytest.mark.system

POINTS = [(0.10, -20), (0.52, -22), (0.50, -21), (0.61, -30), (0.55, -23), (0.2, -19), (0.58, -26)]


def chosen(root, by):
    return {row["model"]: row["run"] for row in select(results(root), by).iter_rows(named=True)}


def test_the_representative_is_nearest_to_the_mean_of_the_upper_half(tmp_path):
    for seed, (gap, reconstruction) in enumerate(POINTS):
        write_run(tmp_path, f"r{seed}", scored(gap, reconstruction), seed=seed)
    write_run(tmp_path, "nan", scored(float("nan"), -20.0), seed=7)
    write_work(write_run(tmp_path, "failed", seed=8), failed=True, error="no")
    upper = np.array(sorted(POINTS, reverse=True)[:4])
    precision = np.linalg.inv(np.cov(upper.T))
    distances = [mahalanobis(point, upper.mean(0), precision) for point in upper]
    [row] = select(results(tmp_path)).iter_rows(named=True)
    assert row["selected_by"] == pytest.approx(min(distances))
    assert row["mig"] == upper[np.argmin(distances)][0]


def test_of_two_representatives_and_of_equals_the_lowest_seed_is_chosen(tmp_path):
    for seed in (3, 1, 2, 0):
        write_run(tmp_path, f"r{9 - seed}", scored(0.5 if seed else 0.1), seed=seed)
    for by in ("representative", "mig", "reconstruction"):
        seed = 0 if by == "reconstruction" else 1
        assert select(results(tmp_path), by)["seed"].to_list() == [seed], by


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("unit", [1.0, 0.3, 7e5])
def test_of_few_seeds_the_representative_has_the_highest_mig(seeds, unit, tmp_path):
    """In two dimensions up to three runs are equally far from their mean, in any unit."""
    generator = np.random.default_rng(seeds)
    points = generator.random((seeds, 2)) * [0.6, -30 * unit]
    for seed, (gap, reconstruction) in enumerate(points):
        write_run(tmp_path, f"r{seed}", scored(gap, reconstruction), seed=seed)
    [row] = select(results(tmp_path)).iter_rows(named=True)
    assert row["mig"] == points[:, 0].max()


def test_equal_distances_are_equal_also_where_reconstructions_are_large(tmp_path):
    """A reconstruction of many pixels varies by little of itself, and its offsets by roundings."""
    generator = np.random.default_rng(0)
    for study in range(20):
        points = generator.random((5, 2)) * [0.6, 80] - [0, 1e7]
        for seed, (gap, reconstruction) in enumerate(points):
            write_run(tmp_path / str(study), f"r{seed}", scored(gap, reconstruction), seed=seed)
        [row] = select(results(tmp_path / str(study))).iter_rows(named=True)
        assert row["mig"] == points[:, 0].max()


def test_elbo_and_scores_take_the_highest_of_every_group(tmp_path):
    write_run(tmp_path, "a", scored(0.3, -20.0, 9.0), seed=0)  # ELBO -29
    write_run(tmp_path, "b", scored(0.2, -23.0, 5.0), seed=1)  # ELBO -28
    write_run(tmp_path, "c", scored(0.1, -30.0, 1.0), seed=2, prior="isa")
    write_run(tmp_path, "d", seed=3)
    assert chosen(tmp_path, "elbo") == {"beta-vae": "b", "isa-vae": "c"}
    assert chosen(tmp_path, "mig") == {"beta-vae": "a", "isa-vae": "c"}
    assert select(results(tmp_path), "elbo")["selected_by"].to_list() == [-28.0, -31.0]
    with pytest.raises(ValueError, match="a score must be one of"):
        select(results(tmp_path), "beauty")


def test_what_is_no_number_is_never_chosen(tmp_path):
    for seed, gap in enumerate((float("nan"), 0.2, float("inf"))):
        write_run(tmp_path, f"r{seed}", scored(gap), seed=seed)
    assert select(results(tmp_path), "mig")["run"].to_list() == ["r1"]


def test_no_finished_run_is_a_sentence(tmp_path):
    write_run(tmp_path, "a")
    for by in ("representative", "udr", "elbo", "mig"):
        with pytest.raises(ValueError, match=f"selecting by {by} needs finished runs"):
            select(results(tmp_path), by)


@pytest.fixture
def codes(monkeypatch):
    """The codes of runs by name; a run that is not there has no whole weights."""
    known = {}
    monkeypatch.setattr(
        sys.modules["isavae.studies.tables.selection"],
        "_codes",
        lambda path: known.get(path.split("/")[-1]),
    )
    return known


def hand_made(*columns):
    """Codes with these latents, certain enough to be informative."""
    mean = torch.stack(columns, 1)
    return Codes(mean, torch.full_like(mean, -3.0), None)


def test_udr_chooses_agreement_then_the_lowest_seed_and_leaves_the_unreadable_out(tmp_path, codes):
    for seed, name in enumerate(["mixed", "second", "third", "lost", "failed"]):
        path = write_run(tmp_path, name, None if name == "failed" else scored(0.5), seed=seed)
    write_work(path, failed=True, error="no")
    x, y = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    codes["mixed"] = hand_made(x + y, x - y)
    codes["second"] = hand_made(x, y)
    codes["third"] = hand_made(-y, x)  # the same up to order and sign
    table = select(results(tmp_path), "udr")
    assert table["run"].to_list() == ["second"]
    # Coefficients are correlations less the penalty 0.1: 1 with one of the others, twice √½ with
    # the mixed one, of whose sum the largest is half. The median of two is their mean.
    assert table["selected_by"][0] == pytest.approx((0.9 + (0.5**0.5 - 0.1) / 2) / 2, abs=0.02)


def test_udr_needs_two_runs(tmp_path, codes):
    write_run(tmp_path, "alone", scored(0.5))
    codes["alone"] = hand_made(torch.randn(100))
    with pytest.raises(ValueError, match="selecting by udr needs finished runs"):
        select(results(tmp_path), "udr")


def test_codes_are_of_a_subset_and_of_runs_with_weights(tmp_path, monkeypatch):
    module = sys.modules["isavae.studies.tables.selection"]
    run = tiny_study(1).runs[0]
    assert run_job(Job(StudyDirectory(tmp_path), run.id, run.config), None, bool).kind == "done"
    path = tmp_path / "runs" / run.id
    for most, expected in ((10, 10), (100, 64)):
        monkeypatch.setattr(module, "UDR_IMAGES", most)
        assert len(module._codes(path).mean) == expected
    (path / "model.safetensors").write_bytes(b"torn")
    assert module._codes(path) is None
    assert module._codes(tmp_path / "nowhere") is None


@pytest.mark.parametrize("width", [60, 300])
def test_paths_of_selected_runs_are_whole_on_a_terminal(width, tmp_path, capsys, monkeypatch):
    write_run(tmp_path, "a", scored(0.3), seed=4)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["study", "select", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if str(tmp_path / "runs" / "a") in line]
    assert not [line for line in lines if "…" in line]


def test_the_command_line_chooses_and_writes(tmp_path, capsys):
    write_run(tmp_path, "a", scored(0.3), seed=4)
    write_run(tmp_path, "b", scored(0.2), seed=5)
    flags = ["--by", "mig", "--json", str(tmp_path / "chosen.json")]
    assert main(["study", "select", str(tmp_path), *flags]) == 0
    assert "selected by mig" in capsys.readouterr().out
    assert pl.read_json(tmp_path / "chosen.json")["run"].to_list() == ["a"]
