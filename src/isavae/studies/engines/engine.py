"""What the study's driver asks of whoever does the work: local processes or a cluster."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, final, runtime_checkable

from isavae.studies.engines.job import Job, Outcome


@final
@dataclass(frozen=True)
class Progress:
    """A run took some steps."""

    run: str
    step: int
    steps: int
    values: dict[str, float]


@final
@dataclass(frozen=True)
class Ended:
    """The work on a run ended."""

    run: str
    outcome: Outcome


Event = Progress | Ended


@runtime_checkable
class Engine(Protocol):
    """Runs jobs, several at a time; a context that leaves nothing running behind."""

    @property
    def slots(self) -> int:
        """How many jobs it takes at a time."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the jobs run on other machines."""
        ...

    def start(self, job: Job) -> None:
        """Begin a job."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What happened, as soon as something does; nothing after so many seconds."""
        ...

    def stop(self) -> None:
        """Ask all jobs to checkpoint and end; `wait` still tells how they do."""
        ...

    def __enter__(self) -> "Engine": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
