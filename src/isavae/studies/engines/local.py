"""The local engine: every run in a process of its own, forked from a server with torch loaded.

A run that dies disturbs no other, and costs no import of torch. The pipe between driver and worker
is also the lease: when the driver closes it, or dies, the worker checkpoints and ends.
"""

import os
import signal
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import final

from isavae.studies.engines.engine import Ended, Event, Progress
from isavae.studies.engines.job import Job, Outcome, run_job
from isavae.studies.forking import fork_server, start


@final
class LocalEngine:
    """Runs jobs as processes on this machine.

    Args:
        workers: how many at a time.

    Raises:
        ValueError: if there is not at least one worker, or this system cannot fork.
    """

    is_remote = False

    def __init__(self, workers: int):
        if workers < 1:
            raise ValueError(f"a study needs at least one worker; got {workers}")
        self.slots = workers
        self._context = fork_server()
        self._running: dict[Connection, tuple[str, BaseProcess]] = {}

    def start(self, job: Job) -> None:
        ours, theirs = self._context.Pipe()
        process = start(self._context, _work, job, theirs)
        theirs.close()
        self._running[ours] = (job.run, process)

    def wait(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for pipe in wait(list(self._running), seconds):
            assert isinstance(pipe, Connection)
            run, process = self._running[pipe]
            try:
                event = pipe.recv()
            except (EOFError, ConnectionError):  # it died without a word
                process.join()
                event = Ended(run, Outcome("failed", _cause_of_death(process.exitcode)))
            if isinstance(event, Ended):
                del self._running[pipe]
                process.join()
                pipe.close()
            events.append(event)
        return events

    def stop(self) -> None:
        for pipe in self._running:
            try:
                pipe.send("stop")
            except OSError:  # it is dead: `wait` will tell
                continue

    def processes(self) -> dict[str, int]:
        """The process id of every run that is being worked on."""
        return {run: process.pid or 0 for run, process in self._running.values()}

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all pipes, so that whoever is left checkpoints, and wait for them."""
        for pipe in self._running:
            pipe.close()
        for _, process in self._running.values():
            process.join()
        self._running.clear()


def available_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers and threads per run that keep every core busy and none twice.

    Args:
        workers: runs at a time; by default as many as the cores allow.
        threads: what a run asks for, if it asks; it gets no more than its share of the cores.
    """
    cores = available_cores()
    workers = workers or max(1, cores // (threads or 1))
    fair = max(1, cores // workers)
    return workers, min(threads or fair, fair)


def _work(job: Job, pipe: Connection) -> None:
    """The worker's life. Interrupts from the keyboard go to the driver, who says what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def report(step: int, steps: int, values: dict[str, float]) -> None:
        _tell(pipe, Progress(job.run, step, steps, values))

    # A message means stop, and so does the end of the pipe: `poll` answers True to both.
    outcome = run_job(job, report, pipe.poll)
    _tell(pipe, Ended(job.run, outcome))


def _tell(pipe: Connection, event: Event) -> None:
    try:
        pipe.send(event)
    except OSError:  # nobody listens any more: the step's end will see it
        return


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {exitcode} and without a word"
