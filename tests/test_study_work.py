"""The work on one run in this process: threads, and TensorBoard events that match the log."""

import json
from dataclasses import replace

import pytest
import torch

from isavae.studies import StudyDirectory
from isavae.studies.work import Job, perform
from tests.study_runs import tiny_study

STEPS = 200


@pytest.fixture
def job(tmp_path):
    study = tiny_study(STEPS)
    StudyDirectory(tmp_path / "s").adopt(study)
    run = study.runs[0]
    return Job(str(tmp_path / "s"), run.id, run.config.settings(), images=16, track=True)


def stop_after(count):
    """False so many times, then True."""
    asked = iter([False] * (count - 1))
    return lambda: next(asked, True)


class Killed(BaseException):
    """What `perform` does not catch, as a kill would be."""


def kill_at(step):
    def on_step(at, steps, values):
        if at == step:
            raise Killed

    return on_step


def events(path):
    """Value by step of every tag, as TensorBoard's own reader has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def test_tensorboard_reads_what_the_log_says_also_of_a_run_that_was_killed(job):
    pytest.importorskip("tensorboard")
    assert perform(job, None, stop_after(60)).kind == "stopped"
    with pytest.raises(Killed):
        perform(job, kill_at(150), lambda: False)
    path = StudyDirectory.at(job.root).run_path(job.run)
    assert [step for step, _ in events(path)["loss"]] == [50, 100, 150]
    assert perform(job, None, lambda: False).kind == "done"
    log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    logged = [record for record in log if "loss" in record]
    assert [record["step"] for record in logged] == [50, 100, 150, 200]
    found = events(path)
    assert set(found) == set(logged[0]) - {"step", "seconds"}
    for tag, values in found.items():
        expected = [(r["step"], pytest.approx(r[tag], rel=1e-6)) for r in logged]
        assert values == expected, tag


def test_a_run_works_with_the_threads_it_was_given(job, monkeypatch):
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    assert perform(replace(job, threads=3, track=False), None, lambda: False).kind == "done"
    assert given == [3]
    path = StudyDirectory.at(job.root).run_path(job.run)
    assert not list(path.glob("events.*"))
