"""One run of a study, from wherever it is to its scores, in the process that it was given to."""

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
from isavae.evaluation import encode_all, evaluate
from isavae.runs import Run, RunConfig, execute
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
    """What a process needs to know to do one run.

    Attributes:
        root: the study directory.
        run: the run's id.
        settings: its configuration as plain values.
        images: images for the likelihood terms; None takes all.
        threads: threads of torch; None leaves them as they are.
        track: whether TensorBoard events are written.
        checkpoint_seconds: time between two checkpoints.
        remote: URL of the study, if the directory is only where this machine works on it.
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
    """How the work on a run ended: "busy" if somebody else holds it.

    Attributes:
        kind: what happened.
        error: why it failed, as one sentence.
        disk_full: whether that was for want of space, which no other attempt would mend.
        mig: its mutual information gap, if it is done and has one.
    """

    kind: Literal["done", "stopped", "busy", "failed"]
    error: str | None = None
    disk_full: bool = False
    mig: float | None = None


def run_job(job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]) -> Outcome:
    """Train, score and tidy up one run; go on from its checkpoint if it has one.

    Args:
        job: which run.
        on_step: called with (step, steps, values) now and then.
        should_stop: asked after every step; True checkpoints and ends.
    """
    directory = StudyDirectory(Path(job.root))
    try:
        with directory.lock(job.run) as held:
            if not held:
                return Outcome("busy")
            if job.remote:
                return _run_remotely(Remote(job.remote), directory, job, on_step, should_stop)
            return _train_and_score(directory, job, on_step, should_stop)
    except Exception as error:  # whatever it is, it shall end this run only
        return Outcome("failed", _sentence(error), _is_full(error, directory.path))


def _run_remotely(
    remote: Remote,
    directory: StudyDirectory,
    job: Job,
    on_step: OnStep | None,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Fetch the run, work on it here, store it; nothing but small files stays here."""
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
    run, is_fresh = _open_run(directory, job)
    try:
        finished = _train(run, data, job, on_step, should_stop)
    except (ValueError, KeyError):  # a file in it is corrupt, or the settings are wrong
        if is_fresh:
            raise
        directory.quarantine(job.run)
        run, _ = _open_run(directory, job)
        finished = _train(run, data, job, on_step, should_stop)
    if not finished:
        return Outcome("stopped")
    model = run.load_model()
    scores = evaluate(model, data, encode_all(model, data), job.images)
    work = RunRecord(
        steps=run.metadata()["steps"],
        seconds=round(time.monotonic() - started, 3),
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
    )
    directory.write_record(job.run, work)
    run.write_scores(scores)
    return Outcome("done", mig=scores.get("mig"))


def _open_run(directory: StudyDirectory, job: Job) -> tuple[Run, bool]:
    """The run, and whether it is new. A directory that is no such run is moved away."""
    path = directory.run_path(job.run)
    if path.exists():
        try:
            for leftover in path.glob(".*~"):  # of a write that a kill cut short
                leftover.unlink()
            run = Run.open(path)
            if run_id(run.config) == job.run:
                return run.extended(job.settings), False
        except (ValueError, NotADirectoryError):
            pass
        directory.quarantine(job.run)
    return Run.create(RunConfig.parse(job.settings), path), True


def _train(
    run: Run, data: ImageDataset, job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]
) -> bool:
    """Train to the end if need be; a finished run needs no state to go on from."""
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
    """`on_step`, and TensorBoard events beside it if wanted."""
    if not track:
        yield on_step
        return
    with tensorboard_writer(run) as write_events:

        def both(step: int, steps: int, values: dict[str, float]) -> None:
            write_events(step, values)
            if on_step:
                on_step(step, steps, values)

        yield both


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _is_full(error: BaseException, path: Path) -> bool:
    """Whether space ran out; torch hides the system's error in one of its own."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            return True
        chain = chain.__cause__ or chain.__context__
    return shutil.disk_usage(path).free < 1 << 16
