"""What passes between the driver of a study and the engine that executes its jobs."""

from dataclasses import dataclass
from typing import Literal, Protocol, final, runtime_checkable

from isavae.runs import RunConfig
from isavae.studies.study_directory import StudyDirectory


@final
@dataclass(frozen=True)
class Job:
    """A run of a study as a process needs to know it.

    Attributes:
        directory: The study directory; of a study in object storage, the local working directory.
        run: The id of the run.
        config: Its configuration.
        images: Images for the likelihood terms; None takes all.
        threads: Torch threads; None leaves the default.
        track: Whether to write TensorBoard events.
        checkpoint_seconds: Seconds between two checkpoints.
    """

    directory: StudyDirectory
    run: str
    config: RunConfig
    images: int | None = 10_000
    threads: int | None = None
    track: bool = False
    checkpoint_seconds: float = 60.0


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

    def start(self, job: Job) -> None:
        """Begin a job; called while fewer than `slots` are in progress."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """Wait for events for up to `seconds`; return as soon as there are some."""
        ...

    def stop(self) -> None:
        """Ask all jobs to checkpoint and stop; `wait` reports how they end."""
        ...

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *exception: object) -> None: ...
