"""The local engine: every run in its own process, forked from a server that has loaded torch.

A worker that dies does not affect other runs, and its successor does not import torch again. When
the driver closes the pipe to a worker, or dies, the worker checkpoints and ends.
"""

import os
import signal
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import final

from isavae.studies.engines.engine import Ended, Event, Job, Outcome, Progress
from isavae.studies.engines.job import run_job
from isavae.studies.forking import fork_server, start


@final
class LocalEngine:
    """Executes jobs as processes on this machine.

    Args:
        workers: Number of jobs at a time.

    Raises:
        ValueError: If there is not at least one worker, or this system cannot fork.
    """

    is_remote = False

    def __init__(self, workers: int):
        if workers < 1:
            raise ValueError(f"a study needs at least one worker; got {workers}")
        self.slots = workers
        self._context = fork_server()
        self._running: dict[Connection, tuple[str, BaseProcess]] = {}

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        ours, theirs = self._context.Pipe()
        process = start(self._context, _run_in_worker, job, theirs)
        theirs.close()
        self._running[ours] = (job.run, process)

    def wait(self, seconds: float) -> list[Event]:
        """Wait for events for up to `seconds`; return as soon as there are some."""
        events: list[Event] = []
        for pipe in wait(list(self._running), seconds):
            assert isinstance(pipe, Connection)
            run, process = self._running[pipe]
            try:
                event = pipe.recv()
            except (EOFError, ConnectionError):  # it died without reporting
                process.join()
                event = Ended(run, Outcome("failed", _cause_of_death(process.exitcode)))
            if isinstance(event, Ended):
                del self._running[pipe]
                process.join()
                pipe.close()
            events.append(event)
        return events

    def stop(self) -> None:
        """Ask all jobs to checkpoint and stop; `wait` reports how they end."""
        for pipe in self._running:
            try:
                pipe.send("stop")
            except OSError:  # it is dead: `wait` reports that
                continue

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all pipes, so that the remaining workers checkpoint, and wait for them."""
        for pipe in self._running:
            pipe.close()
        for _, process in self._running.values():
            process.join()
        self._running.clear()


def available_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers(threads: int) -> int:
    """The number of runs at a time that use every core once.

    Args:
        threads: Threads per run.
    """
    return max(1, available_cores() // threads)


def _run_in_worker(job: Job, pipe: Connection) -> None:
    """Execute a job in a worker."""

    def report(step: int, steps: int, values: dict[str, float]) -> None:
        _send(pipe, Progress(job.run, step, steps, values))

    # A message means stop, as does the end of the pipe: `poll` returns True for both.
    outcome = run_job(job, report, pipe.poll)
    _send(pipe, Ended(job.run, outcome))


def _send(pipe: Connection, event: Event) -> None:
    try:
        pipe.send(event)
    except OSError:  # the driver is gone: `should_stop` returns True after this step
        return


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", possibly because memory ran out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {exitcode} without reporting"
