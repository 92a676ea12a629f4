"""The table of a study's runs, condensed: one row per group of runs that differ in seed only."""

from collections.abc import Sequence
from dataclasses import fields

import polars as pl

from isavae.models import OBJECTIVES
from isavae.runs import RunConfig

# Where it runs and which of many equals it is says nothing about a setting.
IRRELEVANT = {"seed", "device"}
QUANTILES = (0.25, 0.75)


def group_columns(table: pl.DataFrame) -> list[str]:
    """What tells groups of runs apart: model, β, and every other setting that varies.

    A setting that each model has its own value of, such as the prior, is told by the model.
    """
    parameters = {f.name for kind in OBJECTIVES.values() for f in fields(kind)} - {"name"}
    settings = {*RunConfig.model_fields, *parameters} - IRRELEVANT - {"beta"}
    candidates = [name for name in table.columns if name in settings]
    values = table.group_by("model").agg(pl.col(candidates).n_unique())
    varying = [name for name in candidates if (values[name] > 1).any()]
    return ["model", *varying, "beta"]


def summarise(
    table: pl.DataFrame, scores: Sequence[str] = ("mig", "reconstruction")
) -> pl.DataFrame:
    """Mean, standard error, median and quartiles of scores by model, β, and what else varies.

    Args:
        table: `results(...)`.
        scores: columns of it; reconstruction and KL in nats.

    Returns:
        One row a group: its settings, `done` and `failed` runs, and per score `_mean`, `_se`,
        `_q25`, `_median`, `_q75`. The standard error is that of the mean over runs; null for one.

    Raises:
        ValueError: for a score that the table does not have.
    """
    check_scores(table, scores)
    groups = group_columns(table)
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
    """Raise a ValueError if a name is no column of numbers."""
    numeric = [name for name, kind in table.schema.items() if kind.is_float()]
    for name in names:
        if name not in numeric:
            raise ValueError(f"a score must be one of {', '.join(numeric)}; got {name!r}")
