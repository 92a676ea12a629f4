"""Engines that execute a study's jobs: local processes, or a Ray cluster."""

from typing import TYPE_CHECKING, Any

from isavae.studies.engines.engine import Ended, Engine, Event, Progress
from isavae.studies.engines.job import Job, Outcome, run_job
from isavae.studies.engines.local import LocalEngine, available_cores, share_cores

if TYPE_CHECKING:
    from isavae.studies.engines.ray import RayEngine

__all__ = [
    "Ended",
    "Engine",
    "Event",
    "Job",
    "LocalEngine",
    "Outcome",
    "Progress",
    "RayEngine",
    "available_cores",
    "run_job",
    "share_cores",
]


def __getattr__(name: str) -> Any:
    """Import Ray only when its engine is used."""
    if name == "RayEngine":
        from isavae.studies.engines.ray import RayEngine

        return RayEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
