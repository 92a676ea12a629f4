"""Select one run per group: the paper's representative, the best by a score, or by UDR.

Runs that failed, or whose score is missing or not finite, are never selected; ties go to the lowest
seed, those of representatives to the highest MIG first.
"""

import os
from collections.abc import Callable

import numpy as np
import polars as pl

from isavae.evaluation import encode_all
from isavae.metrics import Codes, udr_ranking
from isavae.runs import Run
from isavae.studies.shared_data import open_shared
from isavae.studies.tables.summary import check_scores, group_columns

UDR_IMAGES = 10_000


def select(table: pl.DataFrame, by: str = "representative") -> pl.DataFrame:
    """Select one run of every group of runs that differ in seed only.

    Args:
        table: The result of `results`.
        by: "representative" (the paper's rule, section 3 of its appendix: among the upper half by
            MIG the nearest, in Mahalanobis distance, to that half's mean of MIG and
            reconstruction; of equals, as all runs of a half of up to three are, the highest MIG),
            "udr" (agreement with the group's other runs; needs no labels),
            "elbo" (reconstruction minus KL), or a column of scores, of which the highest wins.

    Returns:
        The rows of the selected runs, with the deciding value in a column `selected_by`; for the
        representative it is a distance, and the lowest wins.

    Raises:
        ValueError: For an unknown rule, or if no run has the required scores.
    """
    done = table.filter(pl.col("status") == "done").sort("seed")
    if by == "representative":
        valued = _by_group(done, _representative_distance)
    elif by == "udr":
        valued = _by_group(done, udr_scores)
    elif by == "elbo":
        valued = done.with_columns((pl.col("reconstruction") - pl.col("kl")).alias("selected_by"))
    else:
        check_scores(table, [by])
        valued = done.with_columns(pl.col(by).alias("selected_by"))
    valued = valued.filter(pl.col("selected_by").is_finite())
    if valued.is_empty():
        raise ValueError(f"selecting by {by} needs finished runs with that score; there are none")
    if by == "representative":
        ordered = valued.sort(["selected_by", "mig", "seed"], descending=[False, True, False])
    else:
        ordered = valued.sort(["selected_by", "seed"], descending=[True, False])
    groups = group_columns(table)
    return ordered.group_by(groups, maintain_order=True).first().sort(groups)


def udr_scores(group: pl.DataFrame) -> pl.Series:
    """Unsupervised disentanglement ranking (UDR) of every run in a group that differs in seed only.

    Compares the codes of the same seeded subset of up to 10,000 images. Runs whose weights cannot
    be read are skipped; a skipped or single run has a null score.
    """
    codes = {row: code for row, path in enumerate(group["path"]) if (code := _codes(path))}
    scores: list[float | None] = [None] * len(group)
    if len(codes) > 1:
        for row, score in zip(codes, udr_ranking([*codes.values()], rule="lasso"), strict=True):
            scores[row] = score.value
    return pl.Series(scores, dtype=pl.Float64)


def _by_group(done: pl.DataFrame, value: Callable[[pl.DataFrame], pl.Series]) -> pl.DataFrame:
    groups = done.partition_by(group_columns(done)) if len(done) else []
    valued = [group.with_columns(value(group).alias("selected_by")) for group in groups]
    empty = done.with_columns(pl.lit(None, pl.Float64).alias("selected_by"))
    return pl.concat(valued) if valued else empty


def _representative_distance(group: pl.DataFrame) -> pl.Series:
    """Mahalanobis distance to the mean of the upper half by MIG; null for the lower half."""
    points = group.select("mig", "reconstruction").to_numpy()
    usable = np.flatnonzero(np.isfinite(points).all(axis=1))
    ranked = usable[np.argsort(-points[usable, 0], kind="stable")]
    upper = ranked[: (len(ranked) + 1) // 2]
    distance = np.full(len(points), np.nan)
    if len(upper):
        distance[upper] = _distances_to_mean(points[upper])
    return pl.Series(distance).fill_nan(None)


def _distances_to_mean(points: np.ndarray) -> np.ndarray:
    """Mahalanobis distances of points from their mean."""
    count = len(points)
    offset = points - points.mean(axis=0)
    spread = offset.std(axis=0)
    offset = offset / np.where(spread > 0, spread, 1.0)
    # Of points on a line, such as two, the covariance is singular: distance within its range.
    values, axes = np.linalg.eigh(offset.T @ offset / max(1, count - 1))
    used = values > 1e-9 * values.max()
    if used.sum() == count - 1:
        # By algebra they are all equally far: rounding must not tell them apart.
        return np.full(count, (count - 1) / count**0.5)
    return np.sqrt(np.square(offset @ axes[:, used] / np.sqrt(values[used])).sum(axis=1)).round(9)


def _codes(path: str | os.PathLike[str]) -> Codes | None:
    """The codes of a run; None if its weights cannot be read."""
    try:
        run = Run.open(path)
        model = run.load_model()
    except ValueError:
        return None
    data = open_shared(run.config.data)
    subset = data.sample(UDR_IMAGES) if len(data) > UDR_IMAGES else data
    return encode_all(model, subset)
