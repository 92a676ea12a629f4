"""Drive a study: start missing runs, retry failed ones, record those that keep failing."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from isavae.studies.engines.engine import Ended, Engine, Progress
from isavae.studies.engines.job import Job, Outcome
from isavae.studies.study import Study
from isavae.studies.study_directory import StudyDirectory

# Between two checks for a request to stop and for runs that other drivers have released.
POLL_SECONDS = 0.5
# Before a run that another driver holds is checked again.
RETRY_SECONDS = 1.0


class DiskFullError(OSError):
    """The disk that holds the study is full."""


@final
@dataclass
class StudyProgress:
    """The state of a study while a driver works on it.

    Attributes:
        total: Number of runs in the study.
        done: Runs trained and scored, by any driver.
        failed: The last error of every run that was given up.
        running: Step and total steps of the runs in progress here.
        finished_here: Runs finished by this driver.
        best: The run with the highest MIG finished here, and its MIG.
        stopped: Whether the driver was stopped before the study was complete.
        started: `time.monotonic()` at the start.
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
        """Runs that are not done, failed or in progress here."""
        return self.total - self.done - len(self.failed) - len(self.running)

    def rate(self) -> float:
        """Runs per second of this driver; a run in progress counts by its share of steps."""
        shares = sum(step / max(steps, 1) for step, steps in self.running.values())
        return (self.finished_here + shares) / max(time.monotonic() - self.started, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds until the study is done at the current rate; None before there is one."""
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
    """Execute the missing runs of a study; several drivers may share one directory.

    Args:
        study: The study.
        directory: Its directory, created if necessary.
        engine: Executes the runs.
        threads: Torch threads per run; None leaves the default.
        on_change: Called with the progress after every event, at least twice a second.
        should_stop: Polled twice a second; True makes all runs checkpoint and stop.
        retry_failed: Whether to retry runs that an earlier driver gave up.
        track: Whether to write TensorBoard events.
        checkpoint_seconds: Seconds between two checkpoints of a run.

    Returns:
        The progress at the end.

    Raises:
        ValueError: If a run cannot be executed, or the directory belongs to another study.
        DiskFullError: If the disk is full; finished runs are kept.
    """
    if not engine.is_remote:
        study.check_devices()
    study.check_data()
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
                driver.stop()
            driver.recheck_held()
            driver.fill_slots()
            if on_change:
                on_change(driver.progress)
            driver.process_events(POLL_SECONDS)
    if on_change:
        on_change(driver.progress)
    driver.check_space()
    return driver.progress


@final
class _Driver:
    """The queue of one driver, and how it reacts to outcomes."""

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
        self.progress = StudyProgress(len(study.runs))
        self.held_elsewhere: dict[str, float] = {}
        self.disk_full = False
        self._retry_failed = retry_failed
        self._failures: dict[str, int] = {}
        begun, fresh = [], []
        for run in study.runs_by_seed():
            if directory.is_done(run.id):
                self.progress.done += 1
            elif (record := directory.record(run.id)).failed and not retry_failed:
                self.progress.failed[run.id] = record.error or "unknown"
            else:
                (begun if directory.run_path(run.id).exists() else fresh).append(run.id)
        self.queue = deque(begun + fresh)

    def has_work(self) -> bool:
        """Whether runs are in progress, queued or held by other drivers."""
        return bool(self.queue or self.held_elsewhere or self.progress.running)

    def stop(self) -> None:
        """Start no further runs; let those in progress checkpoint and stop."""
        if self.progress.stopped:
            return
        self.progress.stopped = True
        self.queue.clear()
        self.held_elsewhere.clear()
        self.engine.stop()

    def fill_slots(self) -> None:
        """Start queued runs until the engine is full."""
        while self.queue and len(self.progress.running) < self.engine.slots:
            run = self.queue.popleft()
            self.progress.running[run] = (0, 1)
            self.engine.start(self.jobs[run])

    def process_events(self, seconds: float) -> None:
        """Process engine events for up to `seconds`."""
        for event in self.engine.wait(seconds):
            if isinstance(event, Progress):
                self.progress.running[event.run] = (event.step, event.steps)
            elif self.record_end(event):
                self.stop()
        if not self.progress.running and self.held_elsewhere and not self.queue:
            time.sleep(seconds)

    def check_space(self) -> None:
        """Raise a `DiskFullError` if the disk was full."""
        if self.disk_full:
            raise DiskFullError(
                f"the disk of {self.directory.path} must have space; it is full: free some and "
                f"start again ({self.progress.done} of {self.progress.total} runs are done)"
            )

    def recheck_held(self) -> None:
        """Check the runs that other drivers held."""
        now = time.monotonic()
        for run in [run for run, when in self.held_elsewhere.items() if when <= now]:
            if self.directory.is_done(run):
                self.progress.done += 1
            elif self.directory.is_locked(run):
                self.held_elsewhere[run] = now + RETRY_SECONDS
                continue
            elif (record := self.directory.record(run)).failed and not self._retry_failed:
                self.progress.failed[run] = record.error or "unknown"
            else:
                self.queue.append(run)
            del self.held_elsewhere[run]

    def record_end(self, ended: Ended) -> bool:
        """Record how a run ended; return whether the study must stop."""
        run, outcome = ended.run, ended.outcome
        del self.progress.running[run]
        if outcome.kind == "done":
            self._note_done(run, outcome)
        elif outcome.kind == "busy" and not self.progress.stopped:
            self.held_elsewhere[run] = time.monotonic() + RETRY_SECONDS
        elif outcome.kind == "failed":
            return self._note_failure(run, outcome)
        return False

    def _note_done(self, run: str, outcome: Outcome) -> None:
        self.progress.done += 1
        self.progress.finished_here += 1
        if outcome.mig is not None and (
            self.progress.best is None or outcome.mig > self.progress.best[1]
        ):
            self.progress.best = (run, outcome.mig)

    def _note_failure(self, run: str, outcome: Outcome) -> bool:
        error = outcome.error or "unknown"
        self._failures[run] = self._failures.get(run, 0) + 1
        if outcome.disk_full:
            self.disk_full = True
            return True
        if self._failures[run] > self.retries:
            self.progress.failed[run] = error
            self.directory.give_up(run, self._failures[run], error)
        elif not self.progress.stopped:
            self.queue.append(run)
        return False
