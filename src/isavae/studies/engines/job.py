"""One run of a study, from its current state to its scores, in the calling process."""

import errno
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from isavae.data import ImageDataset
from isavae.errors import typed_line
from isavae.evaluation import encode_all
from isavae.files import remove_leftovers
from isavae.runs import CorruptCheckpointError, Run, execute
from isavae.runs.execution import OnStep
from isavae.runs.scoring import score_codes
from isavae.runs.tracking import tracked
from isavae.studies.engines.engine import Job, Outcome
from isavae.studies.planned_run import run_id
from isavae.studies.remote import Remote, with_uploads
from isavae.studies.shared_data import open_shared
from isavae.studies.study_directory import RunRecord
from isavae.training import resolve_device

FULL = {errno.ENOSPC, errno.EDQUOT}


def run_job(job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]) -> Outcome:
    """Train and score one run, from its checkpoint if it has one, and delete its training state.

    Args:
        job: The run.
        on_step: Called with (step, steps, values) whenever values are logged.
        should_stop: Called after every step; True makes the run checkpoint and stop.
    """
    remote = job.directory.remote
    try:
        with job.directory.lock(job.run) as held:
            if not held:
                return Outcome("busy")
            if remote:
                return _run_remotely(remote, job, on_step, should_stop)
            return _train_and_score(job, on_step, should_stop)
    except Exception as error:  # an error of any kind ends this run only
        return Outcome("failed", typed_line(error), _is_full(error, job.directory.path))


def _run_remotely(
    remote: Remote, job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]
) -> Outcome:
    """Fetch the run, work on a local copy, store it; only small files remain here."""
    path = job.directory.run_path(job.run)
    shutil.rmtree(path, ignore_errors=True)
    remote.fetch_run(job.run, path)
    ask = with_uploads(remote, job.run, path, job.checkpoint_seconds, should_stop)
    outcome = _train_and_score(job, on_step, ask)
    remote.store_run(job.run, path)
    shutil.rmtree(path)
    return outcome


def _train_and_score(job: Job, on_step: OnStep | None, should_stop: Callable[[], bool]) -> Outcome:
    if job.directory.is_done(job.run):
        return Outcome("done")
    started = time.monotonic()
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    data = open_shared(job.config.data)
    run = _open_run(job)
    try:
        finished = _train(run, data, job, on_step, should_stop)
    except CorruptCheckpointError:
        job.directory.quarantine(job.run)
        run = _open_run(job)
        finished = _train(run, data, job, on_step, should_stop)
    if not finished:
        return Outcome("stopped")
    model = run.load_model(resolve_device(job.config.device))
    scores = score_codes(run, model, data, encode_all(model, data), n_images=job.images)
    record = RunRecord(
        steps=run.metadata()["steps"],
        seconds=round(time.monotonic() - started, 3),
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
    )
    job.directory.write_record(job.run, record)
    run.write_scores(scores)
    return Outcome("done", mig=scores["mig"]["value"] if "mig" in scores else None)


def _open_run(job: Job) -> Run:
    """Open or create the run; a directory that is not this run is moved away first."""
    path = job.directory.run_path(job.run)
    if path.exists():
        run = _existing_run(path)
        if run and run_id(run.config) == job.run:
            remove_leftovers(path)
            return run.extended(job.config)
        job.directory.quarantine(job.run)
    return Run.create(path, job.config)


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
        with tracked(run, on_step) if job.track else nullcontext(on_step) as report:
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


def _is_full(error: BaseException, path: Path) -> bool:
    """Whether the disk is full; torch wraps the system's error in its own."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            return True
        chain = chain.__cause__ or chain.__context__
    return shutil.disk_usage(path).free < 1 << 16
