"""How the terms of the loss went while runs were trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isavae.figures import style

# Of a record of a log: its name, and what the figure writes.
TERMS = {"reconstruction": "log p(x|z), nats", "kl": "KL, nats"}


@style.applied
def learning_curves(
    logs: Sequence[Sequence[Mapping[str, Any]]], marked: int = 0, width: float = style.PAGE
) -> Figure:
    """log p(x|z) and the KL over the steps of training, one line a run.

    Args:
        logs: The records of each run, such as `Run.log()`; those without a term are passed over.
        marked: Which run's line is dark; the others are grey.
        width: Inches.
    """
    figure = style.new_figure(width, 1.9)
    for axes, (term, label) in zip(figure.subplots(1, 2), TERMS.items(), strict=True):
        for position in sorted(range(len(logs)), key=lambda k: k == marked):  # the marked one last
            _line(axes, logs[position], term, style.INK if position == marked else style.DATA)
        axes.set_xlabel("step")
        axes.set_title(label, loc="left")
        axes.margins(x=0.02)
    return figure


def _line(axes: Axes, log: Sequence[Mapping[str, Any]], term: str, shade: str) -> None:
    known = [(record["step"], record[term]) for record in log if term in record]
    steps, values = zip(*known, strict=True) if known else ((), ())
    axes.plot(steps, values, color=shade, lw=1.2)
    if (
        values
    ):  # the beginning, and a peak that lasts a few records, would leave no room for the rest
        tail = np.array(values[len(values) // 20 :])
        most, least = np.quantile(tail, [0.9, 0.1])
        high = min(tail.max(), 2 * most - least)
        low = max(tail.min(), 2 * least - most)
        reach = 0.05 * (high - low) or 1.0
        before = axes.get_ylim() if axes.get_lines()[1:] else (low - reach, high + reach)
        axes.set_ylim(min(before[0], low - reach), max(before[1], high + reach))
