"""Tables of a study: one row per run, summaries by setting, and the choice of runs."""

from isavae.studies.tables.run_table import model_name, results
from isavae.studies.tables.selection import select, udr_scores
from isavae.studies.tables.summary import finished, group_columns, summarise

__all__ = [
    "finished",
    "group_columns",
    "model_name",
    "results",
    "select",
    "summarise",
    "udr_scores",
]
