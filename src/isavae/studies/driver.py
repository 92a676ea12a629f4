"""Drive a study: start what is missing, retry what fails, record what keeps failing."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from isavae.studies.engines.engine import Ended, Engine, Progress
from isavae.studies.engines.job import Job, Outcome
from isavae.studies.study import Study
from isavae.studies.study_directory import StudyDirectory

POLL_SECONDS = 0.5  # seconds between two looks at requests to stop and at runs that others hold
RETRY_SECONDS = 1.0  # seconds before a run that somebody else held is tried again


class DiskFullError(OSError):
    """There is no space left for the study."""


@final
@dataclass
class StudyProgress:
    """How far a study is, kept while it is driven.

    Attributes:
        total: runs of the study.
        done: runs that are trained and scored, with those of earlier and other drivers.
        failed: the error of every run that was given up.
        running: step and steps of the runs that are being worked on here.
        finished_here: runs that this driver finished.
        best: the run with the highest MIG finished here, and that MIG.
        stopped: whether the work ended before the study did.
        started: `time.monotonic()` when it began.
    """

    total: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    running: dict[str, tuple[int, int]] = field(default_factory=dict)
    finished_here: int = 0
    best: tuple[str, float] | None = None
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Runs that are neither done nor given up nor being worked on here."""
        return self.total - self.done - len(self.failed) - len(self.running)

    def rate(self) -> float:
        """Runs per second of this driver, with shares of unfinished ones."""
        shares = sum(step / max(steps, 1) for step, steps in self.running.values())
        return (self.finished_here + shares) / max(time.monotonic() - self.started, 1e-9)

    def seconds_left(self) -> float | None:
        """Time until the study is done at this rate, once there is one."""
        shares = sum(1 - step / max(steps, 1) for step, steps in self.running.values())
        rate = self.rate()
        return (self.left + shares) / rate if rate else None


def run_study(
    study: Study,
    directory: StudyDirectory,
    engine: Engine,
    *,
    threads: int | None = None,
    on_change: Callable[[StudyProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    retry_failed: bool = False,
    track: bool = False,
    checkpoint_seconds: float = 60.0,
) -> StudyProgress:
    """Do what is missing of a study; several drivers may do so at once in one directory.

    Args:
        study: what to run.
        directory: where; made if need be.
        engine: who does the work.
        threads: threads of torch per run.
        on_change: called whenever something happened, and twice a second.
        should_stop: True makes all runs checkpoint and end.
        retry_failed: whether runs that an earlier driver gave up are tried again.
        track: whether TensorBoard events are written.
        checkpoint_seconds: time between two checkpoints of a run.

    Returns:
        The tally at the end.

    Raises:
        ValueError: if a run cannot work, or the directory is of another study.
        DiskFullError: when space runs out; what is done stays done.
    """
    if not engine.is_remote:
        study.require_devices()
    study.require_data()
    directory.initialise(study)
    jobs = {
        run.id: Job(
            str(directory.path), run.id, run.config.settings(), study.images, threads, track,
            checkpoint_seconds, directory.remote.url if directory.remote else None,
        )
        for run in study.runs
    }  # fmt: skip
    driver = _Driver(study, directory, engine, jobs, retry_failed)
    token = directory.stop_token()
    with engine:
        while driver.has_work():
            if should_stop() or directory.stop_token() != token:
                driver.stop_driver()
            driver.recheck_held()
            driver.fill_slots()
            if on_change:
                on_change(driver.tally)
            driver.process_events(POLL_SECONDS)
    if on_change:
        on_change(driver.tally)
    driver.require_space()
    return driver.tally


@final
class _Driver:
    """The queue of one driver and what it makes of outcomes."""

    def __init__(
        self,
        study: Study,
        directory: StudyDirectory,
        engine: Engine,
        jobs: dict[str, Job],
        retry_failed: bool,
    ):
        self.directory = directory
        self.engine = engine
        self.jobs = jobs
        self.retries = study.retries
        self.tally = StudyProgress(len(study.runs))
        self.held_elsewhere: dict[str, float] = {}
        self.disk_full = False
        self._retry_failed = retry_failed
        self._failures: dict[str, int] = {}
        begun, fresh = [], []
        for run in study.runs_in_turn():
            if directory.is_done(run.id):
                self.tally.done += 1
            elif (work := directory.work(run.id)).failed and not retry_failed:
                self.tally.failed[run.id] = work.error or "unknown"
            else:
                (begun if directory.run_path(run.id).exists() else fresh).append(run.id)
        self.queue = deque(begun + fresh)

    def has_work(self) -> bool:
        """Whether anything is running, or will have to."""
        return bool(self.queue or self.held_elsewhere or self.tally.running)

    def stop_driver(self) -> None:
        """Start nothing more, and let what runs checkpoint and end."""
        if self.tally.stopped:
            return
        self.tally.stopped = True
        self.queue.clear()
        self.held_elsewhere.clear()
        self.engine.stop()

    def fill_slots(self) -> None:
        """Start as many runs as the engine takes."""
        while self.queue and len(self.tally.running) < self.engine.slots:
            run = self.queue.popleft()
            self.tally.running[run] = (0, 1)
            self.engine.start(self.jobs[run])

    def process_events(self, seconds: float) -> None:
        """Book what happens within so many seconds."""
        for event in self.engine.wait(seconds):
            if isinstance(event, Progress):
                self.tally.running[event.run] = (event.step, event.steps)
            elif self.take(event):
                self.stop_driver()
        if not self.tally.running and self.held_elsewhere and not self.queue:
            time.sleep(seconds)

    def require_space(self) -> None:
        """Raise a DiskFullError if space ran out."""
        if self.disk_full:
            raise DiskFullError(
                f"the disk of {self.directory.path} must have space; it is full: free some, then "
                f"start again ({self.tally.done} of {self.tally.total} runs are done and kept)"
            )

    def recheck_held(self) -> None:
        """See what became of the runs that others hold."""
        now = time.monotonic()
        for run in [run for run, when in self.held_elsewhere.items() if when <= now]:
            if self.directory.is_done(run):
                self.tally.done += 1
            elif self.directory.is_locked(run):
                self.held_elsewhere[run] = now + RETRY_SECONDS
                continue
            elif (work := self.directory.work(run)).failed and not self._retry_failed:
                self.tally.failed[run] = work.error or "unknown"
            else:
                self.queue.append(run)
            del self.held_elsewhere[run]

    def take(self, ended: Ended) -> bool:
        """Book how a run ended; True if the study must halt for it."""
        run, outcome = ended.run, ended.outcome
        del self.tally.running[run]
        if outcome.kind == "done":
            self._note_done(run, outcome)
        elif outcome.kind == "busy" and not self.tally.stopped:
            self.held_elsewhere[run] = time.monotonic() + RETRY_SECONDS
        elif outcome.kind == "failed":
            return self._note_failure(run, outcome)
        return False

    def _note_done(self, run: str, outcome: Outcome) -> None:
        self.tally.done += 1
        self.tally.finished_here += 1
        if outcome.mig is not None and (
            self.tally.best is None or outcome.mig > self.tally.best[1]
        ):
            self.tally.best = (run, outcome.mig)

    def _note_failure(self, run: str, outcome: Outcome) -> bool:
        error = outcome.error or "unknown"
        self._failures[run] = self._failures.get(run, 0) + 1
        if outcome.disk_full:
            self.disk_full = True
            return True
        if self._failures[run] > self.retries:
            self.tally.failed[run] = error
            self.directory.give_up(run, self._failures[run], error)
        elif not self.tally.stopped:
            self.queue.append(run)
        return False
