"""Drive a study: start missing runs, retry failed ones, record those that keep failing."""

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from isavae.progress_line import ProgressLine, time_left
from isavae.studies.engines.engine import Ended, Engine, Job, Outcome, Progress
from isavae.studies.engines.local import LocalEngine, usual_workers
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

    @property
    def share(self) -> float:
        """The share of the study that is done; a run in progress counts by its share of steps."""
        return (self.done + self._begun) / self.total

    @property
    def _begun(self) -> float:
        """The runs in progress, each as its share of steps."""
        return sum((step / max(steps, 1) for step, steps in self.running.values()), 0.0)

    def rate(self) -> float:
        """Runs per second of this driver; a run in progress counts by its share of steps."""
        return (self.finished_here + self._begun) / max(time.monotonic() - self.started, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds until the study is done at the current rate; None before there is one."""
        rate = self.rate()
        return (self.left + len(self.running) - self._begun) / rate if rate else None


def run_study(
    study: Study,
    directory: StudyDirectory | str | os.PathLike[str],
    engine: Engine | None = None,
    *,
    on_change: Callable[[StudyProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    retry_failed: bool = False,
    track: bool = False,
    checkpoint_seconds: float = 60.0,
) -> StudyProgress:
    """Execute the missing runs of a study; several drivers may share one directory.

    Args:
        study: The study.
        directory: Its directory, its path, or its URL; created if necessary.
        engine: Executes the runs; by default processes of this machine, as many as the cores allow.
        on_change: Called with the progress after every event, at least twice a second; by default
            one line in a terminal or a notebook shows it.
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
    if not isinstance(directory, StudyDirectory):
        directory = StudyDirectory.at(directory)
    engine = engine or LocalEngine(usual_workers(study.resources.cpus))
    if not engine.is_remote:
        study.check_devices()
    study.check_data()
    directory.initialise(study)
    jobs = {
        run.id: Job(
            directory,
            run.id,
            run.config,
            study.images,
            study.resources.cpus,
            track,
            checkpoint_seconds,
        )
        for run in study.runs_by_seed()
    }
    driver = _Driver(directory, engine, jobs, study.retries, retry_failed)
    with ProgressLine() as line:
        report = on_change or (lambda progress: line(describe(progress)))
        with engine:
            driver.drive(report, should_stop)
        report(driver.progress)
    driver.check_space()
    return driver.progress


def describe(progress: StudyProgress) -> str:
    """How much is done, and how long the rest takes at the rate of now.

    >>> describe(StudyProgress(total=4, done=1, failed={"b": "out of memory"}))
    '1 of 4 runs done, 25 %, 1 failed'
    """
    parts = [f"{progress.done} of {progress.total} runs done", f"{100 * progress.share:.0f} %"]
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    if seconds := progress.seconds_left():
        parts.append(time_left(seconds))
    return ", ".join(parts)


@final
class _Driver:
    """The queue of one driver, and how it reacts to outcomes."""

    def __init__(
        self,
        directory: StudyDirectory,
        engine: Engine,
        jobs: dict[str, Job],
        retries: int,
        retry_failed: bool,
    ):
        self.progress = StudyProgress(len(jobs))
        self._directory, self._engine, self._jobs = directory, engine, jobs
        self._retries, self._retry_failed = retries, retry_failed
        self._stop_token = directory.stop_token()
        self._disk_full = False
        self._failures: dict[str, int] = {}
        self._held_elsewhere: dict[str, float] = {}
        unsettled = [run for run in jobs if not self._is_settled(run)]
        # Those that have begun come first.
        self._queue = deque(sorted(unsettled, key=lambda run: not directory.run_path(run).exists()))

    def drive(
        self, report: Callable[[StudyProgress], None], should_stop: Callable[[], bool]
    ) -> None:
        """Execute runs until none is in progress, queued or held by other drivers."""
        while self._queue or self._held_elsewhere or self.progress.running:
            if should_stop() or self._directory.stop_token() != self._stop_token:
                self._stop()
            self._recheck_held()
            self._fill_slots()
            report(self.progress)
            self._process_events(POLL_SECONDS)

    def check_space(self) -> None:
        """Raise a `DiskFullError` if the disk was full."""
        if self._disk_full:
            raise DiskFullError(
                f"the disk of {self._directory.path} must have space; it is full: free some and "
                f"start again ({self.progress.done} of {self.progress.total} runs are done)"
            )

    def _is_settled(self, run: str) -> bool:
        """Whether a driver has finished the run or given it up; the progress counts it then."""
        if self._directory.is_done(run):
            self.progress.done += 1
            return True
        record = self._directory.record(run)
        if record.failed and not self._retry_failed:
            self.progress.failed[run] = record.error or "unknown"
            return True
        return False

    def _stop(self) -> None:
        """Start no further runs; let those in progress checkpoint and stop."""
        if self.progress.stopped:
            return
        self.progress.stopped = True
        self._queue.clear()
        self._held_elsewhere.clear()
        self._engine.stop()

    def _recheck_held(self) -> None:
        """Check the runs that other drivers held."""
        now = time.monotonic()
        for run in [run for run, when in self._held_elsewhere.items() if when <= now]:
            if self._directory.is_locked(run) and not self._directory.is_done(run):
                self._held_elsewhere[run] = now + RETRY_SECONDS
                continue
            if not self._is_settled(run):
                self._queue.append(run)
            del self._held_elsewhere[run]

    def _fill_slots(self) -> None:
        """Start queued runs until the engine is full."""
        while self._queue and len(self.progress.running) < self._engine.slots:
            run = self._queue.popleft()
            self.progress.running[run] = (0, 1)
            self._engine.start(self._jobs[run])

    def _process_events(self, seconds: float) -> None:
        """Process engine events for up to `seconds`."""
        for event in self._engine.wait(seconds):
            if isinstance(event, Progress):
                self.progress.running[event.run] = (event.step, event.steps)
            else:
                self._record_end(event)
        if not self.progress.running and self._held_elsewhere and not self._queue:
            time.sleep(seconds)

    def _record_end(self, ended: Ended) -> None:
        run, outcome = ended.run, ended.outcome
        del self.progress.running[run]
        if outcome.kind == "done":
            self._note_done(run, outcome.mig)
        elif outcome.kind == "busy" and not self.progress.stopped:
            self._held_elsewhere[run] = time.monotonic() + RETRY_SECONDS
        elif outcome.kind == "failed":
            self._note_failure(run, outcome)

    def _note_done(self, run: str, mig: float | None) -> None:
        self.progress.done += 1
        self.progress.finished_here += 1
        if mig is not None and (self.progress.best is None or mig > self.progress.best[1]):
            self.progress.best = (run, mig)

    def _note_failure(self, run: str, outcome: Outcome) -> None:
        error = outcome.error or "unknown"
        self._failures[run] = self._failures.get(run, 0) + 1
        if outcome.disk_full:
            self._disk_full = True
            self._stop()
        elif self._failures[run] > self._retries:
            self.progress.failed[run] = error
            self._directory.give_up(run, self._failures[run], error)
        elif not self.progress.stopped:
            self._queue.append(run)
