"""Studies: many runs from one file, on this machine or a cluster, killed and resumed at will."""

from isavae.studies.estimate import StudyEstimate, plan
from isavae.studies.planned_run import PlannedRun, run_id
from isavae.studies.study import Study, shipped_studies
from isavae.studies.study_directory import RunRecord, StudyDirectory
from isavae.studies.study_file import Resources
from isavae.studies.tables.run_table import model_name, results

__all__ = [
    "PlannedRun",
    "Resources",
    "RunRecord",
    "Study",
    "StudyDirectory",
    "StudyEstimate",
    "model_name",
    "plan",
    "results",
    "run_id",
    "shipped_studies",
]
