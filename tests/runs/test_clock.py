"""A clock that is set back and forward, in training, in a fit and in a study's table."""

import itertools
import os
import time

import pytest
import torch
from safetensors.torch import load_file

from isavae.data import load
from isavae.fitting import fit
from isavae.runs import Run, RunConfig, execute
from isavae.studies import StudyDirectory, results
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
SETTINGS = {"data": DATA, "prior": "2*2", "steps": 30, "batch_size": 32, "width": 8}
YEAR = 365 * 86_400


@pytest.fixture
def jumping(monkeypatch):
    """A time of day that goes forward and back, a day further at every look."""
    usual, looks = time.time_ns, itertools.count()

    def set_again():
        look = next(looks)
        return usual() + (-1) ** look * look * 86_400 * 10**9

    monkeypatch.setattr(time, "time_ns", set_again)
    monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9)


def test_training_takes_as_many_checkpoints_as_ever(tmp_path, jumping):
    data, saved = load(DATA), {}
    for name, seconds in (("rare", 3_600.0), ("often", 0.0)):
        run = Run.create(tmp_path / name, RunConfig.parse(SETTINGS))
        times: set[int] = set()

        def note(step, steps, values, run=run, times=times):
            if run.state_path.exists():
                times.add(run.state_path.stat().st_ino)

        assert execute(run, data, on_step=note, log_every=1, checkpoint_seconds=seconds)
        saved[name] = len(times)
        assert all(0 <= line["seconds"] < 600 for line in run.log())
    assert saved["rare"] <= 1 < saved["often"]  # the last one
    torch.testing.assert_close(
        load_file(tmp_path / "rare" / "model.safetensors"),
        load_file(tmp_path / "often" / "model.safetensors"),
    )


def test_a_fit_uses_its_budget_not_the_clock(tmp_path, jumping):
    images = load("dsprites16[shape=heart, scale=5, orientation=0]").sample(60)
    how = {"prior": "2.1[6*2]", "beta": [2.0], "seeds": 2, "steps": 200, "workers": 1}
    fitted = fit(images, tmp_path / "out", 600.0, **how)
    assert fitted.unfinished == 0


def test_a_table_follows_runs_that_change_before_their_time(tmp_path, jumping):
    study, directory = tiny_study(steps=3), StudyDirectory(tmp_path)
    directory.initialise(study)
    runs = [
        Run.create(directory.run_path(planned.id), planned.config) for planned in study.runs[:2]
    ]
    for value, when in ((0.25, YEAR), (0.5, -YEAR), (0.75, 0)):
        for run in runs:
            run.write_scores({"mig": {"value": value}})
            at = time.time_ns() + when * 10**9
            os.utime(run.path, ns=(at, at))
        found = results(tmp_path)
        assert found["mig"].drop_nulls().to_list() == [value, value]
