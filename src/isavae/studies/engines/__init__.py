"""Engines that execute a study's jobs: local processes, or a Ray cluster."""

from isavae.studies.engines.engine import Ended, Engine, Event, Job, Outcome, Progress
from isavae.studies.engines.job import run_job
from isavae.studies.engines.local import LocalEngine, available_cores, usual_workers

__all__ = [
    "Ended",
    "Engine",
    "Event",
    "Job",
    "LocalEngine",
    "Outcome",
    "Progress",
    "available_cores",
    "run_job",
    "usual_workers",
]
