"""`isavae fit`: from a folder of pictures to a chosen model and its report."""

import re
from pathlib import Path

from tyro.conf import Positional

from isavae.cli.progress import StepProgress
from isavae.fit import fit_folder
from isavae.fit.proposal import BETAS, LAYOUT, SEEDS
from isavae.studies.execute import Tally

UNITS = {"s": 1, "m": 60, "h": 3600}


def fit(
    folder: Positional[Path],
    out: Path,
    budget: str = "15m",
    size: int | None = None,
    layout: str = LAYOUT,
    beta: tuple[float, ...] = BETAS,
    seeds: int = SEEDS,
    steps: int | None = None,
    workers: int | None = None,
) -> None:
    """Find latent axes in a folder of pictures, without labels, and say which can be trusted.

    Trains several seeds for a few values of beta, chooses the model on which the seeds agree, and
    writes it with a report and the codes of all pictures. The same command again goes on.

    Args:
        folder: the pictures; those in folders below it count.
        out: where results go.
        budget: time for everything, such as 90s, 15m or 2h.
        size: height and width of the pictures as the model sees them; proposed if left out.
        layout: the prior, such as "2.1[6*2, 6*2]".
        beta: values of beta to try.
        seeds: models per beta, at least 2.
        steps: optimiser steps per model; by default what the budget allows.
        workers: models trained at a time; by default one per core.
    """
    with StepProgress("training", "%") as progress:

        def show(tally: Tally) -> None:
            shares = sum(step / max(steps, 1) for step, steps in tally.running.values())
            progress(round(100 * (tally.done + shares) / tally.total), 100)

        fitted = fit_folder(
            folder,
            out,
            seconds(budget),
            workers=workers,
            edge=size,
            on_reasons=lambda reasons: print(*reasons, "", sep="\n", flush=True),
            on_change=show,
            layout=layout,
            betas=beta,
            seeds=seeds,
            steps=steps,
        )
    print(*fitted.sentences(), "", sep="\n")
    print(f"report: {out / 'report.html'}", f"codes:  {out / 'codes.csv'}", sep="\n")
    print(f"model:  {out / 'model.safetensors'}")


def seconds(text: str) -> float:
    """A time such as 90s, 15m or 2h in seconds.

    Raises:
        ValueError: if it is none, or not positive.

    >>> seconds("1.5m")
    90.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise ValueError(f"a time must be a positive number with s, m or h; got {text!r}")
    return float(match[1]) * UNITS[match[2] or "s"]
