"""The Ray engine: every run a task of a Ray cluster, that exists already or is started here.

Ray starts a task again when its worker or its node dies; the new one goes on from the checkpoint in
the study directory, which all nodes must see: a shared file system, or object storage.
"""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, final

import ray
import ray.exceptions

from isavae.studies.engines.engine import Ended, Event
from isavae.studies.engines.job import Job, Outcome, run_job
from isavae.studies.remote import Remote, is_remote
from isavae.studies.study_file import Resources

MAX_RETRIES = 10  # how many deaths of its worker or node a task survives
LEASE_SECONDS = 1.0


@final
@dataclass
class RayEngine:
    """Runs jobs as Ray tasks.

    Args:
        resources: CPUs, GPUs (a share is allowed) and memory that a run asks the cluster for.
        address: of a running cluster, such as "auto" or "host:6379"; None starts one here.
        workers: jobs at a time; None submits all and leaves the rest to Ray.
        place: the study directory, as all nodes see it: tasks stop when the driver says so there.

    Raises:
        ValueError: if no node has what a run asks for: Ray would wait for one for ever.
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
            ray.init(self.address, log_to_driver=False)
        self._check_node()
        self._lease = DriverLease(self.place, secrets.token_hex(8))
        self._task = ray.remote(_run_while_leased)

    @property
    def slots(self) -> int:
        return self.workers or 1_000_000

    def start(self, job: Job) -> None:
        task = self._task.options(
            num_cpus=self.resources.cpus or 1,
            num_gpus=self.resources.gpus,
            memory=self.resources.memory,
            max_retries=MAX_RETRIES,
            name=job.run,
        )
        self._running[task.remote(job, self._lease)] = job.run

    def wait(self, seconds: float) -> list[Event]:
        if not self._running:
            return []
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [Ended(self._running.pop(task), _outcome(task)) for task in ready]

    def stop(self) -> None:
        self._lease.revoke()

    def _check_node(self) -> None:
        """Raise a ValueError, having left the cluster, if no node has what a run asks for."""
        cpus, gpus = self.resources.cpus or 1, self.resources.gpus
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
            ray.shutdown()

    def __enter__(self) -> "RayEngine":
        self._lease.create()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let whoever is left checkpoint, then leave the cluster."""
        self.stop()
        if self._running and kind is None:
            ray.wait(list(self._running), num_returns=len(self._running))
        self._leave()


@final
@dataclass(frozen=True)
class DriverLease:
    """A file in the study directory that is there as long as its driver wants the work to go on.

    Args:
        place: the study directory.
        driver: a name that no other driver has.
    """

    place: str
    driver: str

    def create(self) -> None:
        """Begin."""
        if is_remote(self.place):
            Remote(self.place).write(self._name, b"")
        else:
            (Path(self.place) / self._name).touch()

    def revoke(self) -> None:
        """Ask all who work for this driver to checkpoint and end."""
        if is_remote(self.place):
            Remote(self.place).remove(self._name)
        else:
            (Path(self.place) / self._name).unlink(missing_ok=True)

    def is_revoked(self) -> bool:
        """Whether to end."""
        if is_remote(self.place):
            return Remote(self.place).read(self._name) is None
        return not (Path(self.place) / self._name).exists()

    @property
    def _name(self) -> str:
        return f"locks/driver-{self.driver}"


def _run_while_leased(job: Job, lease: DriverLease) -> Outcome:
    """One run, as long as its driver wants it."""
    return run_job(job, None, throttled(lease.is_revoked))


def throttled(question: Callable[[], bool]) -> Callable[[], bool]:
    """The question, asked at most once a second; in between its last answer holds."""
    asked, answer = time.monotonic(), False

    def ask() -> bool:
        nonlocal asked, answer
        if not answer and time.monotonic() - asked > LEASE_SECONDS:
            asked, answer = time.monotonic(), question()
        return answer

    return ask


def _outcome(task: Any) -> Outcome:
    """What became of a task, also if Ray gave it up."""
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        return Outcome("failed", f"{type(error).__name__}: {lines[0] if lines else ''}")
