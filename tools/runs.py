"""The tables of runs in `results/`: how they are read, and what their priors are called."""

from pathlib import Path

import polars as pl

# Prior and scale -> name on the pages.
PRIORS = {
    ("normal", "1.0"): "N(0, 1)",
    ("normal", "0.70711"): "N(0, ½)",
    ("isa", "1.0"): "ISA 2.1/2.2, as published",
    ("isa", "standardised"): "ISA 2.1/2.2, unit variance",
    ("gennorm(4)", "standardised"): "gennorm(4), unit variance",
    ("gennorm(6)", "standardised"): "gennorm(6), unit variance",
    ("6[6*4, 6*4, 6*4, 6*4, 6*4]", "standardised"): "6[6*4, …], unit variance",
}
# The four combinations of shape (normal or ISA) and variance (1 or ½).
FOUR = tuple(PRIORS)[:4]


def read_runs(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, schema_overrides={"prior_scale": pl.String})


def medians(runs: pl.DataFrame, by: str, *columns: str, spread: str) -> pl.DataFrame:
    """Medians of some columns for each value of another, with the quartiles of one of them."""
    quartiles = (
        pl.col(spread).quantile(q).alias(name) for q, name in ((0.25, "low"), (0.75, "high"))
    )
    return runs.group_by(by).agg(pl.col(*columns).median(), *quartiles).sort(by)
