"""What a driver makes of what an engine tells it: order, retries, runs of others, and the end."""

import time
from collections import defaultdict

import pytest

from isavae.studies import DiskFullError, Study, StudyDirectory, StudyProgress, driver, run_study
from isavae.studies.engines import Ended, Event, Job, Outcome, Progress
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system

STUDY = tiny_study()
RUNS = [run.id for run in STUDY.runs_by_seed()]


class Scripted:
    """An engine whose jobs end as the script says, one a wait; those without a script are done."""

    is_remote = True

    def __init__(self, script: dict[str, list[Outcome]] | None = None, slots: int = 2):
        self.script = defaultdict(list, script or {})
        self.slots = slots
        self.started: list[str] = []
        self.running: list[str] = []
        self.stops = 0

    def start(self, job: Job) -> None:
        self.started.append(job.run)
        self.running.append(job.run)
        assert len(self.running) <= self.slots

    def wait(self, seconds: float) -> list[Event]:
        if not self.running:
            return []
        run = self.running.pop(0)
        outcomes = self.script[run]
        return [
            *(Progress(other, 1, 2, {}) for other in self.running),
            Ended(run, outcomes.pop(0) if outcomes else Outcome("done")),
        ]

    def stop(self) -> None:
        self.stops += 1

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *exception: object) -> None:
        self.running.clear()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(driver, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.0)


@pytest.fixture
def directory(tmp_path):
    made = StudyDirectory(tmp_path / "s")
    made.initialise(STUDY)
    return made


def test_what_was_begun_goes_on_first_and_the_end_is_told(directory):
    directory.run_path(RUNS[2]).mkdir()
    engine, seen = Scripted(), []
    progress = run_study(
        STUDY, directory, engine, on_change=lambda t: seen.append((t.done, dict(t.running)))
    )
    assert engine.started == [RUNS[2], RUNS[0], RUNS[1], RUNS[3]]
    assert seen[1] == (1, {RUNS[0]: (1, 2), RUNS[1]: (0, 1)})
    assert seen[-1] == (4, {})
    assert (progress.done, progress.finished_here, progress.stopped) == (4, 4, False)


def test_what_fails_is_tried_again_behind_the_others_and_given_up_in_the_end(directory):
    engine = Scripted({RUNS[0]: [Outcome("failed", "no")] * 9, RUNS[1]: [Outcome("failed", "no")]})
    directory.run_path(RUNS[0]).mkdir()
    progress = run_study(STUDY, directory, engine)
    assert engine.started == [*RUNS, RUNS[0], RUNS[1], RUNS[0]]
    assert (progress.done, progress.failed) == (3, {RUNS[0]: "no"})
    assert directory.record(RUNS[0]).attempts == STUDY.retries + 1
    for retry_failed, done in ((False, 3), (True, 4)):
        again = Scripted()
        progress = run_study(STUDY, directory, again, retry_failed=retry_failed)
        assert progress.done == (done if retry_failed else 3)
        assert RUNS[0] in again.started or not retry_failed


@pytest.mark.parametrize("retry_failed", [False, True])
def test_runs_that_others_hold_are_seen_to_when_they_let_go(directory, retry_failed):
    done, failed, dropped = RUNS[:3]
    for run in RUNS:
        directory.run_path(run).mkdir()

    class Busy(Scripted):
        """Another driver ends its work on a run when this one has found it held."""

        def wait(self, seconds):
            events = super().wait(seconds)
            if events[-1:] == [Ended(done, Outcome("busy"))]:
                (directory.run_path(done) / "scores.json").write_text("{}")
            elif events[-1:] == [Ended(failed, Outcome("busy"))]:
                directory.give_up(failed, 3, "no")
            return events

    busy = {run: [Outcome("busy")] for run in (done, failed, dropped)}
    engine = Busy(busy, slots=4)
    progress = run_study(STUDY, directory, engine, retry_failed=retry_failed)
    assert engine.started[4:] == ([failed, dropped] if retry_failed else [dropped])
    assert (progress.done, progress.finished_here) == ((4, 3) if retry_failed else (3, 2))
    assert progress.failed == ({} if retry_failed else {failed: "no"})


def test_a_locked_run_is_waited_for(directory):
    engine = Scripted({RUNS[0]: [Outcome("busy")]})
    with directory.lock(RUNS[0]):
        asked = iter([False] * 20)
        progress = run_study(STUDY, directory, engine, should_stop=lambda: next(asked, True))
    assert engine.started == RUNS
    assert (progress.done, progress.stopped) == (3, True)


def test_stop_starts_nothing_more_and_tries_nothing_again(directory):
    outcomes = {RUNS[1]: [Outcome("failed", "no")], RUNS[2]: [Outcome("busy")]}
    engine = Scripted(outcomes, slots=3)
    asked = iter([False])
    progress = run_study(STUDY, directory, engine, should_stop=lambda: next(asked, True))
    assert engine.started == RUNS[:3]
    assert (progress.done, engine.stops, progress.stopped) == (1, 1, True)


def test_a_request_in_the_directory_stops_too(directory):
    engine = Scripted()
    progress = run_study(STUDY, directory, engine, on_change=lambda _: directory.request_stop())
    assert (engine.stops, progress.stopped) == (1, True)
    assert progress.done < 4


def test_the_best_is_the_highest(directory):
    migs = dict(zip(RUNS, (0.1, 0.5, None, 0.3), strict=True))
    engine = Scripted({run: [Outcome("done", mig=mig)] for run, mig in migs.items()})
    assert run_study(STUDY, directory, engine).best == (RUNS[1], 0.5)


def test_a_full_disk_ends_the_study(directory):
    engine = Scripted({RUNS[0]: [Outcome("failed", "no space", disk_full=True)]})
    with pytest.raises(DiskFullError, match="it is full: free some"):
        run_study(STUDY, directory, engine)
    assert engine.stops == 1
    assert len(engine.started) == 2


def test_devices_and_data_are_checked_where_the_work_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    elsewhere = Study.parse(STUDY.text.replace("width: 8", "width: 8, device: cuda"))
    assert run_study(elsewhere, StudyDirectory(tmp_path / "a"), Scripted()).done == 4
    here = Scripted()
    here.is_remote = False
    with pytest.raises(ValueError, match="cuda"):
        run_study(elsewhere, StudyDirectory(tmp_path / "b"), here)
    nothing = Study.parse(STUDY.text.replace("dsprites16[", "dsprits["))
    with pytest.raises(ValueError, match="line 6"):
        run_study(nothing, StudyDirectory(tmp_path / "c"), Scripted())
    assert not list(tmp_path.glob("[bc]"))


def test_progress_by_hand():
    running = {"a": (1, 4), "b": (3, 4)}
    progress = StudyProgress(10, done=4, failed={"c": "no"}, running=running, finished_here=3)
    progress.started = time.monotonic() - 8.0
    assert progress.left == 3
    assert progress.rate() == pytest.approx((3 + 1) / 8, rel=1e-3)
    assert progress.seconds_left() == pytest.approx((3 + 3 / 4 + 1 / 4) / 0.5, rel=1e-3)
    assert StudyProgress(4).seconds_left() is None
