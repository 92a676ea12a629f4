"""Many runs: MIG (Fig. 5a), trade-offs (Figs. 5b, 5c, 6) and learned exponents (Fig. 7)."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from isavae.figures import style
from isavae.studies.tables.summary import finished, summarise

SCORES = ("mig", "reconstruction")
LABEL = 7.5  # size of the text of a β, in points
Box: TypeAlias = tuple[float, float, float, float]  # left, bottom, right, top


def drawable(runs: pl.DataFrame) -> pl.DataFrame:
    """The rows that can be drawn: done, with a MIG and a reconstruction.

    Raises:
        ValueError: There is none.
    """
    drawn = finished(runs, SCORES)
    if drawn.is_empty():
        raise ValueError(
            f"a figure of a study needs runs with scores, but none of {len(runs)} is done with a "
            "MIG and a reconstruction; run the study first, on data with known factors"
        )
    return drawn


def summary(runs: pl.DataFrame, by: str = "model") -> pl.DataFrame:
    """Mean and standard error of MIG and reconstruction for each series and β.

    Args:
        runs: A table of runs with `mig`, `reconstruction`, `beta` (and `gamma`) and `by`.
        by: The column whose values are the series.

    Returns:
        The columns of `isavae.studies.tables.summary.summarise`, by `by` and `weight` (β; γ where
        there is no β).
    """
    given = [pl.col(name) for name in ("beta", "gamma") if name in runs.columns]
    weighted = runs.with_columns(pl.coalesce(given).alias("weight"))
    return summarise(weighted, SCORES, (by, "weight")).sort(by, "weight", nulls_last=True)


def pareto(
    reconstruction: Float[np.ndarray, "points"], mig: Float[np.ndarray, "points"]
) -> Bool[np.ndarray, "points"]:
    """Which points no other point beats in both scores.

    Args:
        reconstruction: log p(x|z) of each point, in nats; higher is better.
        mig: MIG of each point; higher is better.

    >>> pareto(np.array([-20.0, -25.0, -30.0]), np.array([0.1, 0.4, 0.3]))
    array([ True,  True, False])
    """
    ahead = (reconstruction[:, None] >= reconstruction) & (mig[:, None] >= mig)
    strictly = (reconstruction[:, None] > reconstruction) | (mig[:, None] > mig)
    return ~np.any(ahead & strictly, axis=0)


@style.applied
def trade_off(
    runs: pl.DataFrame, by: str = "model", link: Callable[[str], str] | None = None
) -> Figure:
    """MIG against reconstruction (Figs. 5b, 5c, 6): one series per model, β annotated.

    Points are means over seeds with one standard error; faint points are the runs; the grey line
    joins the points of the Pareto front, on which no other mean is better in both scores.

    Args:
        runs: The results table of a study.
        by: The column whose values are the series.
        link: For a run's name, where its point leads in an SVG.
    """
    runs = drawable(runs)
    table = summary(runs, by)
    figure, axes = style.new_axes(style.PAGE, 3.8)
    _front(axes, table)
    labels: list[tuple[float, float, str, str]] = []
    for position, ((name,), means) in enumerate(table.group_by(by, maintain_order=True)):
        shade, marker = style.colour(position), style.MARKERS[position % len(style.MARKERS)]
        single = runs.filter(pl.col(by) == name)
        dots = axes.scatter(
            single["reconstruction"], single["mig"], s=9, color=shade, alpha=0.25, lw=0, zorder=2
        )
        if link is not None:
            dots.set_urls([link(run) for run in single["run"]])
        names = ("reconstruction_mean", "mig_mean", "reconstruction_se", "mig_se")
        x, y, dx, dy = means.select(names).fill_null(0.0).to_numpy().T
        label = style.literal(str(name))
        axes.errorbar(x, y, dy, dx, color=shade, marker=marker, label=label, lw=1,
                      elinewidth=0.9, capsize=1.5, zorder=3)  # fmt: skip
        labels += [
            (*place, f"{beta:g}", shade)
            for *place, beta in zip(x, y, means["weight"], strict=True)
            if beta is not None
        ]
    _annotate(figure, axes, labels)
    axes.set(xlabel=r"reconstruction, $E_q \log p(x\,|\,z)$ (nats)", ylabel="MIG")
    weights = "β, or γ where there is no β" if runs["beta"].null_count() else "β"
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=4,
        title=f"numbers beside means: {weights}",
    )
    return figure


def _annotate(figure: Figure, axes: Axes, labels: list[tuple[float, float, str, str]]) -> None:
    """Texts at points, each at that side where it covers the least of points and other texts."""
    axes.autoscale_view()
    inches = figure.dpi_scale_trans.inverted()
    places = [72 * inches.transform(axes.transData.transform(label[:2])) for label in labels]
    taken: list[Box] = [(x - 3, y - 3, x + 3, y + 3) for x, y in places]
    for (x, y), (across, up, text, shade) in zip(places, labels, strict=True):
        sides = _sides(x, y, 0.6 * LABEL * len(text))
        side = min(sides, key=lambda side: sum(_shared(sides[side], other) for other in taken))
        taken.append(sides[side])
        axes.annotate(
            text, (across, up), side, textcoords="offset points", color=shade, fontsize=LABEL,
            ha="left" if side[0] > 0 else "right", zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _sides(x: float, y: float, length: float) -> dict[tuple[float, float], Box]:
    """Boxes of a text about a point, the nearest first, by their offsets from it, in points."""
    ups = (4.0, -4 - LABEL, 5 + LABEL, -5 - 2 * LABEL)
    lefts = {4.0: x + 4, -4.0: x - 4 - length}
    return {
        (right, up): (left, y + up, left + length, y + up + LABEL)
        for up in ups
        for right, left in lefts.items()
    }


def _shared(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _front(axes: Axes, table: pl.DataFrame) -> None:
    x, y = table["reconstruction_mean"].to_numpy(), table["mig_mean"].to_numpy()
    best = np.flatnonzero(pareto(x, y))
    front = best[np.argsort(x[best])]
    axes.plot(x[front], y[front], color=style.MUTED, lw=5, alpha=0.25, zorder=1,
              solid_capstyle="round", label="Pareto front")  # fmt: skip


@style.applied
def mig_distributions(runs: pl.DataFrame, beta: float | None = 1.0, by: str = "model") -> Figure:
    """How MIG is distributed over seeds (Fig. 5a): every run, quartiles, median; one row per model.

    Args:
        runs: The results table of a study.
        beta: Only runs with this β; None takes all.
        by: The column whose values are the rows.

    Raises:
        ValueError: No run has this β.
    """
    runs = drawable(runs)
    if beta is not None:
        kept = runs.filter(pl.col("beta") == beta)
        if kept.is_empty():
            known = ", ".join(f"{value:g}" for value in runs["beta"].drop_nulls().unique().sort())
            raise ValueError(
                f"figure 5a needs runs of beta {beta:g}, but the study has {known or 'none'}: add "
                f"beta {beta:g} to it, or draw `isavae figure 6`, which shows all runs"
            )
        runs = kept
    groups = {str(name): group["mig"].sort().to_numpy() for (name,), group in runs.group_by(by)}
    names = sorted(groups, key=lambda name: (float(np.median(groups[name])), name))
    figure, axes = style.new_axes(style.PAGE, 0.75 + 0.42 * len(names))
    for row, name in enumerate(names):
        shade = style.colour(sorted(names).index(name))  # as in `trade_off`
        mig = groups[name]
        # Neighbours in value are spread over five lanes, so that equal runs do not hide each other.
        lanes = row + 0.07 * ((np.arange(len(mig)) * 2) % 5 - 2)
        axes.scatter(mig, lanes, s=10, color=shade, alpha=0.8, lw=0, zorder=4)
        low, middle, high = np.quantile(mig, [0.25, 0.5, 0.75])
        axes.plot([low, high], [row, row], color=style.INK, lw=1, zorder=3)
        axes.plot([middle] * 2, [row - 0.27, row + 0.27], color=style.INK, lw=1.8, zorder=3)
    labels = [f"{style.literal(name)}  (n = {len(groups[name])})" for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="MIG (line: quartiles, bar: median)")
    axes.set_xlim(left=0)
    return figure


@style.applied
def exponent_histograms(exponents: Float[np.ndarray, "runs exponents"], bins: int = 20) -> Figure:
    """Histograms of learned exponents over runs (Fig. 7), sorted within each run.

    Subspaces have no order of their own: the k-th panel shows each run's k-th smallest exponent.

    Args:
        exponents: Learned subspace exponents p_k, one row per run.
        bins: Bins of the common range.

    Raises:
        ValueError: There is no run.
    """
    if exponents.size == 0:
        raise ValueError("a histogram of exponents needs runs that learned some, but there is none")
    ordered = np.sort(exponents, axis=1)
    runs, count = ordered.shape
    edges = np.linspace(ordered.min(), max(ordered.max(), ordered.min() + 1e-3), bins + 1)
    figure = style.new_figure(min(style.PAGE, style.COLUMN * 0.65 * count + 0.3), 2.1)
    panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    for k, (axes, values) in enumerate(zip(panels, ordered.T, strict=True)):
        axes.hist(values, edges, color=style.colour(k), alpha=0.85)
        axes.axvline(2, color=style.MUTED, lw=0.8, ls=(0, (4, 3)))
        axes.axvline(np.median(values), color=style.INK, lw=1)
        axes.set_title(f"$p_{{({k + 1})}}$, median {style.format_number(float(np.median(values)))}")
        axes.set_xlabel("exponent $p_k$")
    panels[0].set_ylabel(f"runs (of {runs})")
    panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
