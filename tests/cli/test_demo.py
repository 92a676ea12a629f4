"""`isavae demo` with few steps: both runs, the better one of them, and its pictures."""

from functools import partial

import pytest

from isavae.cli import demo as demo_command
from isavae.cli import main
from isavae.runs import Run, RunConfig
from isavae.studies import StudyDirectory
from isavae.studies.demo import STARTS, demo_study, loss

pytestmark = pytest.mark.system


def test_the_demo_keeps_the_run_with_the_lower_loss_and_draws_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_command, "demo_study", partial(demo_study, steps=40))
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--seed", "3"]) == 0
    said = capsys.readouterr().out
    starts = StudyDirectory(out / "starts")
    runs = [Run.open(starts.run_path(run.id)) for run in starts.study().runs]
    assert [run.config.seed for run in runs] == [6, 7]
    better, worse = sorted(runs, key=loss)
    assert loss(better) < loss(worse)
    kept = Run.open(out)
    assert kept.config == better.config
    assert kept.model_path.read_bytes() == better.model_path.read_bytes()
    assert kept.scores()["mig"] == better.scores()["mig"]
    assert f"seed {better.config.seed} has the lower loss" in said
    for name in ("latents", "traversals", "reconstructions"):
        assert (out / f"{name}.png").stat().st_size > 1000
    assert main(["demo", "--out", str(out), "--seed", "3"]) == 0  # again: nothing is trained
    assert kept.model_path.read_bytes() == better.model_path.read_bytes()


def test_another_run_is_not_overwritten(tmp_path, capsys):
    Run.create(tmp_path / "mine", RunConfig())
    before = (tmp_path / "mine" / "config.json").read_bytes()
    assert main(["demo", "--out", str(tmp_path / "mine")]) == 2
    assert "holds another run: choose another --out" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["config.json"]
    assert (tmp_path / "mine" / "config.json").read_bytes() == before


def test_seeds_of_demos_do_not_overlap():
    seeds = [run.config.seed for demo in range(4) for run in demo_study(demo).runs]
    assert sorted(seeds) == list(range(4 * STARTS))
