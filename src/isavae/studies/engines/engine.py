"""The interface between the driver of a study and what executes its jobs."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, final, runtime_checkable

from isavae.studies.engines.job import Job, Outcome


@final
@dataclass(frozen=True)
class Progress:
    """A run has taken some steps."""

    run: str
    step: int
    steps: int
    values: dict[str, float]


@final
@dataclass(frozen=True)
class Ended:
    """A job has ended."""

    run: str
    outcome: Outcome


Event = Progress | Ended


@runtime_checkable
class Engine(Protocol):
    """Executes jobs, several at a time; a context manager that leaves no job running."""

    @property
    def slots(self) -> int:
        """Maximum number of jobs at a time."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the jobs run on other machines."""
        ...

    def start(self, job: Job) -> None: ...

    def wait(self, seconds: float) -> list[Event]:
        """Wait for events for up to `seconds`; return as soon as there are some."""
        ...

    def stop(self) -> None:
        """Ask all jobs to checkpoint and stop; `wait` reports how they end."""
        ...

    def __enter__(self) -> "Engine": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
