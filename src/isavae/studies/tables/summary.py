"""Summary of a study's results: one row per group of runs that differ in seed only."""

from collections.abc import Sequence
from dataclasses import fields

import polars as pl

from isavae.models import OBJECTIVES
from isavae.runs import RunConfig

# Settings that do not distinguish groups of runs.
IRRELEVANT = {"seed", "device"}
QUANTILES = (0.25, 0.75)


def group_columns(table: pl.DataFrame) -> list[str]:
    """The columns that distinguish groups of runs: model, β, and every other setting that varies.

    A setting with one value per model, such as the prior, is implied by the model.
    """
    parameters = {f.name for kind in OBJECTIVES.values() for f in fields(kind)} - {"name"}
    settings = {*RunConfig.model_fields, *parameters} - IRRELEVANT - {"beta"}
    candidates = [name for name in table.columns if name in settings]
    values = table.group_by("model").agg(pl.col(candidates).n_unique())
    varying = [name for name in candidates if (values[name] > 1).any()]
    return ["model", *varying, "beta"]


def finished(table: pl.DataFrame, scores: Sequence[str] = ()) -> pl.DataFrame:
    """The rows of runs that are done, with a finite value of every given score.

    Args:
        table: A table of `results`.
        scores: Names of scores, which are columns of the table.
    """
    return table.filter(pl.col("status") == "done", *(pl.col(name).is_finite() for name in scores))


def summarise(
    table: pl.DataFrame,
    scores: Sequence[str] = ("mig", "reconstruction"),
    by: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Mean, standard error, median and quartiles of scores per group of runs.

    Args:
        table: The result of `results`.
        scores: Columns of the table; reconstruction and KL are in nats.
        by: Columns that distinguish the groups; by default those of `group_columns`.

    Returns:
        One row per group: its settings, the number of `done` and `failed` runs, and per score
        `_mean`, `_se`, `_q25`, `_median`, `_q75`. The standard error of the mean is null for a
        single run.

    Raises:
        ValueError: If the table lacks a score.
    """
    check_scores(table, scores)
    groups = group_columns(table) if by is None else list(by)
    is_done = pl.col("status") == "done"
    columns: list[pl.Expr] = [
        is_done.sum().alias("done"),
        (pl.col("status") == "failed").sum().alias("failed"),
    ]
    for name in scores:
        value = pl.col(name).filter(is_done)
        low, high = (value.quantile(q, "linear") for q in QUANTILES)
        columns += [
            value.mean().alias(f"{name}_mean"),
            (value.std() / value.count().sqrt()).alias(f"{name}_se"),
            low.alias(f"{name}_q25"),
            value.median().alias(f"{name}_median"),
            high.alias(f"{name}_q75"),
        ]
    known = table.filter(pl.col("model").is_not_null())
    return known.group_by(groups).agg(columns).sort(groups)


def check_scores(table: pl.DataFrame, names: Sequence[str]) -> None:
    """Raise a `ValueError` if a name is not a numeric column."""
    numeric = [name for name, kind in table.schema.items() if kind.is_float()]
    for name in names:
        if name not in numeric:
            raise ValueError(f"a score must be one of {', '.join(numeric)}; got {name!r}")
