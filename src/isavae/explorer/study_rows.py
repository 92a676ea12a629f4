"""The runs of a study as the page lists and draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isavae.runs import RunConfig
from isavae.runs.hub import MODEL_FILE
from isavae.runs.model_file import read_model_metadata
from isavae.runs.moved_images import is_fitted
from isavae.studies.printed import PRINTED

# The data set of the paper's values: on smaller images log p is a sum over fewer pixels.
PRINTED_DATA = "dsprites"
SCORES = ("mig", "reconstruction", "kl")


def study_table(study: Path) -> dict[str, Any]:
    """The rows of a study, and what the paper prints where the study is on the same images.

    The series of a row is its model with every other setting that varies: runs of one series and
    one β differ in their seed only.
    """
    from isavae.studies import finished, group_columns, results  # polars is loaded only for studies

    table, chosen = results(study), _choice_of_fit(study)
    # `isavae fit` derives all weights of a run from γ, that of the KL.
    weights = ("gamma", "alpha", "beta") if is_fitted(study.absolute().parent) else ("beta",)
    left_out = {"model", "prior", "data", *weights}
    varying = [name for name in group_columns(finished(table)) if name not in left_out]
    rows = [
        _row(row, varying, weights[0]) | {"chosen": _identity(row) == chosen}
        for row in table.iter_rows(named=True)
        if row["status"] != "corrupt"
    ]
    is_printed = set(table["data"].drop_nulls()) == {PRINTED_DATA}
    return {"rows": rows, "printed": [asdict(run) for run in PRINTED] if is_printed else []}


def merit(row: Mapping[str, Any]) -> tuple[float, float]:
    """By MIG; without factors, by reconstruction."""
    mig, reconstruction = row["mig"], row["reconstruction"]
    return (-1.0 if mig is None else mig, -math.inf if reconstruction is None else reconstruction)


def _choice_of_fit(study: Path) -> tuple[str, float | None, int] | None:
    """Objective, β and seed of the model that `isavae fit` chose, where the study is its own."""
    folder = study.absolute().parent
    if not is_fitted(folder) or not (folder / MODEL_FILE).is_file():
        return None
    config = RunConfig.parse(read_model_metadata(folder / MODEL_FILE)["config"])
    return config.objective.name, getattr(config.objective, "beta", None), config.seed


def _identity(row: Mapping[str, Any]) -> tuple[str, float | None, int]:
    return row["objective"], row["beta"], row["seed"]


def _row(row: Mapping[str, Any], varying: Sequence[str], weight: str) -> dict[str, Any]:
    """What the page needs of a run's row in the results table."""
    weights = (row.get(name) for name in (weight, "beta", "gamma"))
    return {
        "id": row["run"],
        "series": ", ".join([_model(row), *_settings(row, varying)]),
        "model": row["model"],
        "trained": (Path(row["path"]) / MODEL_FILE).is_file(),
        "beta": next((value for value in weights if value is not None), None),
        **{name: row[name] for name in ("seed", "status", *SCORES)},
    }


def _model(row: Mapping[str, Any]) -> str:
    """The model; those that the paper has no name for differ by their priors."""
    return (row["model"] or "unknown").replace("own prior", str(row["prior"]))


def _settings(row: Mapping[str, Any], varying: Sequence[str]) -> list[str]:
    """The settings that distinguish a row's series; γ is the weight where there is no β."""
    return [
        f"{name.replace('_', ' ')} {row[name]}"
        for name in varying
        if row[name] is not None and not (name == "gamma" and row["beta"] is None)
    ]
