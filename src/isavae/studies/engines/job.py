"""One run of a study, from its current state to its scores, in the calling process."""

import errno
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch

from isavae.data import ImageDataset
from isavae.errors import first_line
from isavae.evaluation import evaluate
from isavae.runs import CorruptCheckpointError, Run, RunConfig, execute
from isavae.studies.planned_run import run_id
from isavae.studies.remote import Remote, with_uploads
from isavae.studies.shared_data import open_shared
from isavae.studies.study_directory import RunRecord, StudyDirectory
from isavae.studies.tracking import tensorboard_writer

OnStep = Callable[[int, int, dict[str, float]], None]
FULL = {errno.ENOSPC, errno.EDQUOT}


@final
@dataclass(frozen=True)
class Job:
    """A run of a study as a process needs to know it.

    Attributes:
        root: The study directory.
        run: The id of the run.
        settings: Its configuration as plain values.
        images: Images for the likelihood terms; None takes all.
        threads: Torch threads; None leaves the default.
        track: Whether to write TensorBoard events.
        checkpoint_seconds: Seconds between two checkpoints.
        remote: URL of a study in object storage, whose local working directory `root` is.
    """

    root: str
    run: str
    settings: dict[str, Any]
    images: int | None = 10_000
    threads: int | None = None
    track: bool = False
    checkpoint_seconds: float = 60.0
    remote: str | None = None


@final
@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        kind: What happened; "busy" if another process holds the run.
        error: Why it failed, in one line.
        disk_full: Whether it failed because the disk is full, so that retrying is useless.
        mig: The mutual information gap, if the run is done and has one.
    """

    kind: Literal["done", "stopped", "busy", "failed"]
    error: str | None = None
    disk_full: bool = False
    mig: float | None = None


def run_job(job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]) -> Outcome:
    """Train and score one run, from its checkpoint if it has one, and delete its training state.

    Args:
        job: The run.
        on_step: Called with (step, steps, values) whenever values are logged.
        should_stop: Called after every step; True makes the run checkpoint and stop.
    """
    directory = StudyDirectory(Path(job.root))
    try:
        with directory.lock(job.run) as held:
            if not held:
                return Outcome("busy")
            if job.remote:
                return _run_remotely(Remote(job.remote), directory, job, on_step, should_stop)
            return _train_and_score(directory, job, on_step, should_stop)
    except Exception as error:  # an error of any kind ends this run only
        return Outcome("failed", _one_line(error), _is_full(error, directory.path))


def _run_remotely(
    remote: Remote,
    directory: StudyDirectory,
    job: Job,
    on_step: OnStep | None,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Fetch the run, work on a local copy, store it; only small files remain here."""
    path = directory.run_path(job.run)
    shutil.rmtree(path, ignore_errors=True)
    remote.fetch_run(job.run, path)
    ask = with_uploads(remote, job.run, path, job.checkpoint_seconds, should_stop)
    outcome = _train_and_score(directory, job, on_step, ask)
    remote.store_run(job.run, path)
    shutil.rmtree(path)
    return outcome


def _train_and_score(
    directory: StudyDirectory, job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]
) -> Outcome:
    if directory.is_done(job.run):
        return Outcome("done")
    started = time.monotonic()
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    data = open_shared(job.settings["data"])
    run = _open_run(directory, job)
    try:
        finished = _train(run, data, job, on_step, should_stop)
    except CorruptCheckpointError:
        directory.quarantine(job.run)
        run = _open_run(directory, job)
        finished = _train(run, data, job, on_step, should_stop)
    if not finished:
        return Outcome("stopped")
    model = run.load_model()
    scores = evaluate(model, data, n_images=job.images)
    record = RunRecord(
        steps=run.metadata()["steps"],
        seconds=round(time.monotonic() - started, 3),
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
    )
    directory.write_record(job.run, record)
    run.write_scores(scores)
    return Outcome("done", mig=scores["mig"]["value"] if "mig" in scores else None)


def _open_run(directory: StudyDirectory, job: Job) -> Run:
    """Open or create the run; a directory that is not this run is moved away first."""
    path = directory.run_path(job.run)
    if path.exists():
        run = _existing_run(path)
        if run and run_id(run.config) == job.run:
            for leftover in path.glob(".*~"):  # of a write that a kill interrupted
                leftover.unlink()
            return run.extended(job.settings)
        directory.quarantine(job.run)
    return Run.create(RunConfig.parse(job.settings), path)


def _existing_run(path: Path) -> Run | None:
    """The run in a directory; None if its configuration or its weights cannot be read."""
    try:
        run = Run.open(path)
        run.finished()
    except (ValueError, KeyError, NotADirectoryError):
        return None
    return run


def _train(
    run: Run, data: ImageDataset, job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]
) -> bool:
    """Train to the end if necessary; delete the training state of a finished run."""
    if not run.finished():
        with _tracked(run, job.track, on_step) as report:
            if not execute(
                run,
                data,
                on_step=report,
                should_stop=should_stop,
                checkpoint_seconds=job.checkpoint_seconds,
            ):
                return False
    run.state_path.unlink(missing_ok=True)
    return True


@contextmanager
def _tracked(run: Run, track: bool, on_step: OnStep | None) -> Iterator[OnStep | None]:
    """`on_step`, which also writes TensorBoard events if `track`."""
    if not track:
        yield on_step
        return
    with tensorboard_writer(run) as write_events:

        def both(step: int, steps: int, values: dict[str, float]) -> None:
            write_events(step, values)
            if on_step:
                on_step(step, steps, values)

        yield both


def _one_line(error: Exception) -> str:
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"


def _is_full(error: BaseException, path: Path) -> bool:
    """Whether the disk is full; torch wraps the system's error in its own."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            return True
        chain = chain.__cause__ or chain.__context__
    return shutil.disk_usage(path).free < 1 << 16
