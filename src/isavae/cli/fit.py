"""`isavae fit`: from a folder of pictures to a chosen model and its report."""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tyro.conf import Positional

from isavae.cli.step_progress import StepProgress
from isavae.fit import fit_folder
from isavae.fit.proposal import SEEDS
from isavae.studies import StudyProgress

UNITS = {"s": 1, "m": 60, "h": 3600}


def fit(
    folder: Positional[Path],
    out: Path,
    budget: str = "15m",
    size: int | None = None,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: tuple[float, ...] = (),
    seeds: int = SEEDS,
    learn_exponents: bool = False,
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
        prior: the prior, such as "2.1[6*2, 6*2]"; proposed if left out.
        likelihood: of pixels, such as "gaussian(0.1)" or bernoulli; proposed if left out.
        beta: values of beta to try; proposed if left out.
        seeds: models per beta, at least 2.
        learn_exponents: learn the prior's exponents within subspaces; the report shows them.
        steps: optimiser steps per model; by default what the budget allows.
        workers: models trained at a time; by default one per core.
    """
    with StepProgress("training", "%") as progress:

        def show(tally: StudyProgress) -> None:
            shares = sum(step / max(steps, 1) for step, steps in tally.running.values())
            progress(round(100 * (tally.done + shares) / tally.total), 100)

        fitted = fit_folder(
            folder,
            out,
            seconds(budget),
            workers=workers,
            size=size,
            on_reasons=_say,
            on_change=show,
            steps=steps,
            prior=prior,
            likelihood=likelihood,
            beta=beta,
            seeds=seeds,
            learn_exponents=learn_exponents,
        )
    _say(fitted.sentences())
    print(f"report: {out / 'report.html'}", f"codes:  {out / 'codes.csv'}", sep="\n")
    print(f"model:  {out / 'model.safetensors'}")


def _say(sentences: Sequence[str]) -> None:
    """Print sentences and an empty line; on a terminal broken between words."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        sentences = [textwrap.fill(s, width, subsequent_indent="  ") for s in sentences]
    print(*sentences, "", sep="\n", flush=True)


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
