"""The Ray engine: every run is a task of a Ray cluster, either an existing one or one started here.

Ray restarts a task when its worker or its node dies; the new task resumes from the checkpoint in
the study directory, which all nodes must see: a shared file system, or object storage.
"""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import ray
import ray.exceptions

from isavae.errors import typed_line
from isavae.studies.engines.engine import Ended, Event, Job, Outcome
from isavae.studies.engines.job import run_job
from isavae.studies.remote import Remote
from isavae.studies.study_file import Resources

# Times that Ray restarts a task whose worker or node has died.
MAX_RETRIES = 10
# Seconds between two checks of the driver's lease.
LEASE_SECONDS = 1.0
# Seconds between two looks at whether Ray has ended.
KEEPING_SECONDS = 0.01


@final
@dataclass
class RayEngine:
    """Executes jobs as Ray tasks.

    Args:
        resources: CPUs, GPUs (fractions are allowed) and memory of one run.
        place: The study directory, as all nodes see it.
        address: Address of a running cluster, such as "auto" or "host:6379"; None starts one here.
        workers: Jobs at a time; None submits all of them to Ray.

    Raises:
        ValueError: If no node has the resources of a run: Ray would wait for one indefinitely.
        OSError: If Ray does not start.
    """

    resources: Resources
    place: str
    address: str | None = None
    workers: int | None = None
    is_remote: bool = field(default=True, init=False)
    _running: dict[Any, str] = field(default_factory=dict, init=False)

    def __post_init__(self):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ours = not ray.is_initialized()
        if self._ours:
            self._start()
        self._check_node()
        self._lease = DriverLease(self.place, secrets.token_hex(8))
        self._task = ray.remote(_run_while_leased)

    def _start(self) -> None:
        try:
            with _sigterm_kept():
                ray.init(self.address, log_to_driver=False)
        except (OSError, ValueError):
            raise
        except Exception as error:  # Ray's errors of starting have no type of their own
            raise OSError(
                f"Ray must start or answer, but does not ({typed_line(error)}): try again when "
                "less else runs, or take --engine local"
            ) from error

    @property
    def slots(self) -> int:
        """Maximum number of jobs at a time; Ray itself queues those that find no room."""
        return self.workers or 1_000_000

    def start(self, job: Job) -> None:
        """Hand a job to Ray, with the resources of a run."""
        task = self._task.options(
            num_cpus=self.resources.cpus,
            num_gpus=self.resources.gpus,
            memory=self.resources.memory,
            max_retries=MAX_RETRIES,
            name=job.run,
        )
        self._running[task.remote(job, self._lease)] = job.run

    def wait(self, seconds: float) -> list[Event]:
        """Wait for an ended job for up to `seconds`; there are no events in between."""
        if not self._running:
            return []
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [Ended(self._running.pop(task), _outcome(task)) for task in ready]

    def stop(self) -> None:
        """Ask all jobs to checkpoint and stop; `wait` reports how they end."""
        self._lease.revoke()

    def _check_node(self) -> None:
        """Leave the cluster and raise a `ValueError` if no node has the resources of a run."""
        cpus, gpus = self.resources.cpus, self.resources.gpus
        memory = self.resources.memory or 0
        wanted = {"CPU": cpus, "GPU": gpus, "memory": memory}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0) >= wanted[name] for name in wanted) for node in nodes):
            return
        self._leave()
        raise ValueError(
            f"a node of the cluster must have what a run asks for; none of {len(nodes)} has "
            f"{cpus} CPUs, {gpus:g} GPUs and {memory:,} bytes of memory: "
            "ask for less under resources in the study file, or add a node"
        )

    def _leave(self) -> None:
        if self._ours:
            _shut_down()

    def __enter__(self) -> "RayEngine":
        self._lease.create()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let the remaining tasks checkpoint, then leave the cluster."""
        self.stop()
        if self._running and exception[0] is None:
            ray.wait(list(self._running), num_returns=len(self._running))
        self._leave()


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep what SIGTERM does: Ray would end the process with exit code 15."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # raised by Ray's handler
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():  # others may set no handlers
            signal.signal(signal.SIGTERM, before)


def _shut_down() -> None:
    """Leave the cluster, and keep what SIGTERM does: Ray would let it end the process at once.

    Ray does so seconds before it has ended its processes, so that it must end beside this thread.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is None:
        ray.shutdown()
        return
    leaving = threading.Thread(target=ray.shutdown)
    leaving.start()
    while leaving.is_alive():
        leaving.join(KEEPING_SECONDS)
        signal.signal(signal.SIGTERM, before)


@final
@dataclass(frozen=True)
class DriverLease:
    """A file in the study directory that exists while its driver wants the tasks to continue.

    Args:
        place: The study directory.
        driver: The unique name of the driver.
    """

    place: str
    driver: str

    def create(self) -> None:
        Remote(self.place).write(self._name, b"")

    def revoke(self) -> None:
        """Make all tasks of this driver checkpoint and stop."""
        Remote(self.place).remove(self._name)

    def is_revoked(self) -> bool:
        return Remote(self.place).read(self._name) is None

    @property
    def _name(self) -> str:
        return f"locks/driver-{self.driver}"


def _run_while_leased(job: Job, lease: DriverLease) -> Outcome:
    """Execute a job until it ends or its driver's lease is revoked."""
    return run_job(job, None, throttled(lease.is_revoked))


def throttled(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, evaluated at most once per `LEASE_SECONDS`, and never again once it holds."""
    evaluated, holds = time.monotonic(), False

    def check() -> bool:
        nonlocal evaluated, holds
        if not holds and time.monotonic() - evaluated > LEASE_SECONDS:
            evaluated, holds = time.monotonic(), condition()
        return holds

    return check


def _outcome(task: Any) -> Outcome:
    """The outcome of a task, including one that Ray gave up.

    Raises:
        OSError: If Ray itself has ended, for which no run is to blame.
    """
    try:
        return ray.get(task)
    except ray.exceptions.LocalRayletDiedError:
        raise OSError(
            "Ray must run until the study ends, but its node on this machine has ended: start "
            "again to resume from the checkpoints"
        ) from None
    except ray.exceptions.RayError as error:
        return Outcome("failed", typed_line(error))
