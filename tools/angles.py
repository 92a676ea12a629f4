"""When do latents line up? A table and a figure from `results/angles.csv`.

Every run of that table was trained once more, and its codes of 5,000 images were looked at on the
way. `angle` and `position_r2` are those of `tools/evidence.py`.
"""

from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from scipy import stats

from isavae.figures import style
from tools.runs import PRIORS, medians, read_runs

ROOT = Path(__file__).parents[1]
ANGLES, EXPONENTS = ROOT / "results/angles.csv", ROOT / "results/exponents.csv"
# Study and networks, and the steps of the table.
PARTS = {
    ("evidence-full", "mlp"): "the paper's protocol (64 x 64)",
    ("evidence-mid", "mlp"): "the paper's networks, 32 x 32",
    ("evidence-mid", "mlp-silu"): "SiLU, blur, falling learning rate, 32 x 32",
}
STEPS = (300, 1000, 2800, 7200)


def angles_table() -> str:
    """The median angle at some steps, and the rank correlation of an early one with the last."""
    head = " | ".join(f"step {step:,}" for step in STEPS)
    lines = [f"| networks | prior | β | seeds | {head} | early against final |"]
    lines.append("|---" * (5 + len(STEPS)) + "|")
    table = read_runs(ANGLES)
    for (study, network), words in PARTS.items():
        for (prior, scale), name in PRIORS.items():
            for beta in (1.0, 4.0):
                some = _of(table, study, network, prior, scale).filter(pl.col("beta") == beta)
                if len(some):
                    cells = " | ".join(f"{_at(some, step).median():.0f}°" for step in STEPS)
                    seeds = some["seed"].n_unique()
                    lines.append(
                        f"| {words} | {name} | {beta:g} | {seeds} | {cells} | {_kept(some):.2f} |"
                    )
    return "\n".join(lines)


def exponents_table() -> str:
    """The sorted exponents at the end of training, over ten seeds."""
    names = [f"p{k}" for k in range(1, 6)]
    table = pl.read_csv(EXPONENTS)
    lines = ["| images | smallest | second | third | fourth | largest |", "|---" * 6 + "|"]
    for (data,), some in table.group_by("data", maintain_order=True):
        last = some.filter(pl.col("step") == pl.col("step").max())
        exponents = np.sort(last.select(names).to_numpy(), axis=1)
        cells = [f"{np.median(p):.2f} ({p.min():.2f} to {p.max():.2f})" for p in exponents.T]
        lines.append(f"| {data} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(table: pl.DataFrame, study: str, network: str, prior: str, scale: str) -> pl.DataFrame:
    here = (pl.col("study") == study) & (pl.col("network") == network)
    return table.filter(here & (pl.col("prior") == prior) & (pl.col("prior_scale") == scale))


def _at(some: pl.DataFrame, step: int) -> pl.Series:
    return some.filter(pl.col("step") == step).sort("seed")["angle"]


def _kept(some: pl.DataFrame) -> float:
    """The rank correlation over seeds of the angles at step 1,000 and at the end."""
    return float(stats.spearmanr(_at(some, 1000), _at(some, 7200)).statistic)


@style.applied
def draw() -> Figure:
    """Medians and quartiles of the angle over training at β = 1."""
    table = read_runs(ANGLES)
    figure = style.new_figure(style.PAGE, 2.9)
    panels = figure.subplots(1, 2, sharey=True)
    parts = [("evidence-full", "mlp"), ("evidence-mid", "mlp-silu")]
    for axes, part in zip(panels, parts, strict=True):
        for k, ((prior, scale), name) in enumerate(PRIORS.items()):
            some = _of(table, *part, prior, scale).filter(pl.col("beta") == 1, pl.col("step") > 0)
            if len(some):
                by_step = medians(some, "step", "angle", spread="angle")
                axes.fill_between(
                    by_step["step"], by_step["low"], by_step["high"],
                    color=style.colour(k), alpha=0.12, linewidth=0,
                )  # fmt: skip
                axes.plot(
                    by_step["step"], by_step["angle"], color=style.colour(k), label=name,
                    marker=style.MARKERS[k], ms=2.5,
                )  # fmt: skip
        axes.axhline(22.5, color=style.INK, lw=0.6, ls=":")
        axes.set_xscale("log")
        axes.set_ylim(0, 45)
        axes.set_xlabel("step")
        axes.set_title(PARTS[part], fontsize=7.5)
        axes.legend(fontsize=5.5)
    panels[0].set_ylabel("angle with the nearer axis, degrees")
    return figure
