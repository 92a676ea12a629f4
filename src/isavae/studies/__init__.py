"""Studies: many runs described by one file, executed on this machine or on a cluster, resumable."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isavae.studies.driver import DiskFullError, StudyProgress, run_study
from isavae.studies.engines import Engine, LocalEngine, available_cores, usual_workers
from isavae.studies.estimate import RunEstimate, StudyEstimate, plan
from isavae.studies.planned_run import PlannedRun, run_id
from isavae.studies.study import Study, shipped_studies
from isavae.studies.study_directory import RunRecord, StudyDirectory
from isavae.studies.study_file import Resources

if TYPE_CHECKING:
    from isavae.studies.engines.ray import RayEngine
    from isavae.studies.tables import (
        finished,
        group_columns,
        model_name,
        results,
        select,
        summarise,
    )

# What needs an optional package, and where it is: imported when it is used.
_LATER = {"RayEngine": "engines.ray"} | dict.fromkeys(
    ["finished", "group_columns", "model_name", "results", "select", "summarise"], "tables"
)

__all__ = [
    "DiskFullError",
    "Engine",
    "LocalEngine",
    "PlannedRun",
    "RayEngine",
    "Resources",
    "RunEstimate",
    "RunRecord",
    "Study",
    "StudyDirectory",
    "StudyEstimate",
    "StudyProgress",
    "available_cores",
    "finished",
    "group_columns",
    "model_name",
    "plan",
    "results",
    "run_id",
    "run_study",
    "select",
    "shipped_studies",
    "summarise",
    "usual_workers",
]


def __getattr__(name: str) -> Any:
    """Import Ray and Polars only when they are used."""
    if name in _LATER:
        return getattr(import_module(f"isavae.studies.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
