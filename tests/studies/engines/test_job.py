"""The work on one run in this process: how it ends, and TensorBoard events that match the log."""

import errno
import json
from dataclasses import replace

import pytest
import torch

from isavae.runs import Run
from isavae.studies import StudyDirectory, run_id
from isavae.studies.engines import Job, run_job
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system

STEPS = 200


@pytest.fixture
def job(tmp_path):
    study = tiny_study(STEPS)
    directory = StudyDirectory(tmp_path / "s")
    directory.initialise(study)
    run = study.runs[0]
    return Job(directory, run.id, run.config, images=16, track=True)


def stop_after(count):
    """False so many times, then True."""
    asked = iter([False] * (count - 1))
    return lambda: next(asked, True)


class Killed(BaseException):
    """What `run_job` does not catch, as a kill would be."""


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
    pytest.importorskip("tensorboard", reason="needs tensorboard: make setup")
    assert run_job(job, None, stop_after(60)).kind == "stopped"
    with pytest.raises(Killed):
        run_job(job, kill_at(150), lambda: False)
    path = job.directory.run_path(job.run)
    assert [step for step, _ in events(path)["loss"]] == [50, 100, 150]
    assert run_job(job, None, lambda: False).kind == "done"
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
    assert run_job(replace(job, threads=3, track=False), None, lambda: False).kind == "done"
    assert given == [3]
    path = job.directory.run_path(job.run)
    assert not list(path.glob("events.*"))


@pytest.fixture
def quick(job):
    """The same run, short and not tracked."""
    config = job.config.model_copy(update={"steps": 5})
    return replace(job, run=run_id(config), config=config, track=False)


def test_who_finds_a_run_held_or_done_leaves_it_alone(quick):
    directory = quick.directory
    with directory.lock(quick.run):
        assert run_job(quick, None, lambda: False).kind == "busy"
    assert not directory.run_path(quick.run).exists()
    outcome = run_job(quick, None, lambda: False)
    scores = json.loads((directory.run_path(quick.run) / "scores.json").read_text())
    assert (outcome.kind, outcome.mig) == ("done", scores["mig"]["value"])
    assert scores["reconstruction"]["n_images"] == quick.images
    assert directory.record(quick.run).seconds > 0
    before = {p: p.stat().st_mtime_ns for p in directory.run_path(quick.run).iterdir()}
    assert run_job(quick, None, lambda: False).kind == "done"
    assert {p: p.stat().st_mtime_ns for p in directory.run_path(quick.run).iterdir()} == before


def test_the_run_of_another_is_set_aside_and_torn_writes_go(quick):
    directory = quick.directory
    path = directory.run_path(quick.run)
    Run.create(path, quick.config.model_copy(update={"steps": 3}))
    assert run_job(quick, None, stop_after(2)).kind == "stopped"
    assert Run.open(path).config.steps == 5
    assert len(list(directory.path.glob("corrupt/*/config.json"))) == 1
    (path / ".isavae-x1~").write_text("half writ")
    assert run_job(quick, None, lambda: False).kind == "done"
    assert not list(path.glob(".*"))
    assert len(list(directory.path.glob("corrupt/*"))) == 1


def test_only_a_corrupt_checkpoint_starts_a_run_again(quick, monkeypatch):
    def execute(*given, **how):
        raise ValueError("the data do not fit")

    directory = quick.directory
    assert run_job(quick, None, stop_after(2)).kind == "stopped"
    monkeypatch.setattr("isavae.studies.engines.job.execute", execute)
    assert run_job(quick, None, lambda: False).error == "ValueError: the data do not fit"
    assert not list(directory.path.glob("corrupt/*"))
    monkeypatch.undo()
    (directory.run_path(quick.run) / "state.pt").write_bytes(b"no checkpoint")
    assert run_job(quick, None, lambda: False).kind == "done"
    assert len(list(directory.path.glob("corrupt/*"))) == 1


@pytest.mark.parametrize("is_full", [False, True])
def test_a_failure_is_one_line_and_says_whether_space_ran_out(quick, monkeypatch, is_full):
    def execute(*given, **how):
        cause = OSError(errno.ENOSPC if is_full else errno.EIO, "it broke")
        raise RuntimeError("first line\nsecond line") from cause

    monkeypatch.setattr("isavae.studies.engines.job.execute", execute)
    outcome = run_job(quick, None, lambda: False)
    assert outcome.kind == "failed"
    assert (outcome.error, outcome.disk_full) == ("RuntimeError: first line", is_full)


def test_only_a_corrupt_checkpoint_starts_a_run_over(quick, monkeypatch):
    directory = quick.directory
    state = directory.run_path(quick.run) / "state.pt"
    assert run_job(quick, None, stop_after(2)).kind == "stopped"

    def execute(*given, **how):
        raise ValueError("it is not the checkpoint")

    with monkeypatch.context() as patch:
        patch.setattr("isavae.studies.engines.job.execute", execute)
        assert run_job(quick, None, lambda: False).error == "ValueError: it is not the checkpoint"
    assert state.exists()
    assert not list(directory.path.glob("corrupt/*"))
    state.write_bytes(b"torn")
    assert run_job(quick, None, lambda: False).kind == "done"
    assert len(list(directory.path.glob("corrupt/*"))) == 1
