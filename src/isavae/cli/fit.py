"""`isavae fit`: from a folder of images to a chosen model and its report."""

import re
import shlex
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from isavae.cli.continuing import telling_how_to_continue
from isavae.cli.flag_kinds import Optionally, Several
from isavae.cli.step_progress import StepProgress
from isavae.cli.terminal import say, say_wrapped
from isavae.data.own.decoding import DEFAULT_FIT
from isavae.data.own.preprocessing import parse_size
from isavae.fitting import fit as fit_images

UNITS = {"s": 1, "m": 60, "h": 3600}


def fit(
    images: Positional[str],
    out: Path = Path("found"),
    budget: str = "15m",
    size: Optionally[str] = None,
    fit: Literal["crop", "pad", "stretch"] = DEFAULT_FIT,
    prior: Optionally[str] = None,
    likelihood: Optionally[str] = None,
    beta: Several[float] = (),
    seeds: Optionally[int] = None,
    learn_exponents: bool = False,
    steps: Optionally[int] = None,
    workers: Optionally[int] = None,
) -> None:
    """Find latent axes in images without labels, and tell which are reproducible.

    Trains several seeds for a few values of beta, chooses a model of the beta whose seeds share the
    most axes, and writes it with a report and all codes. The same command again resumes.

    Args:
        images: A folder of images (folders within it count, too) or an array file, with options
            in brackets as in `train --data`, or the name of a data set.
        out: The output folder.
        budget: Time for everything, such as 90s, 15m or 2h; a bare number is in minutes.
        size: Height and width to bring images to, such as 64 or 48x64; proposed if left out.
        fit: What to do with other proportions: crop cuts the longer side evenly, pad adds black,
            stretch ignores them.
        prior: The prior, such as "2.1[6*2, 6*2]"; proposed if left out.
        likelihood: Distribution of pixels, such as "gaussian(0.1)" or bernoulli; proposed if left
            out.
        beta: One or several values of beta; proposed if left out.
        seeds: Models per beta, at least 2; 4 if left out, fewer if the budget is short.
        learn_exponents: Learn the exponents of the prior within subspaces; the report shows them.
        steps: Optimiser steps per model; by default as many as the budget allows.
        workers: Models trained at a time; by default one per core.
    """
    again = ["isavae", "fit", images, "--out", str(out), "--budget", budget]
    again += _flags(size=size, fit=None if fit == DEFAULT_FIT else fit, prior=prior)
    again += _flags(likelihood=likelihood, beta=beta or None, seeds=seeds, steps=steps)
    again += ["--learn-exponents"] if learn_exponents else []
    again += _flags(workers=workers)
    with telling_how_to_continue(again), StepProgress("training", "%") as bar:
        fitted = fit_images(
            images,
            out,
            seconds(budget),
            workers=workers,
            size=None if size is None else parse_size(size),
            fit=fit,
            on_reasons=lambda reasons: say_wrapped(*reasons, ""),
            on_change=lambda progress: bar(round(100 * progress.share), 100),
            steps=steps,
            prior=prior,
            likelihood=likelihood,
            beta=beta,
            seeds=seeds,
            learn_exponents=learn_exponents,
        )
    say_wrapped(*fitted.sentences(), "")
    say(f"report: {out / 'report.html'}", f"codes:  {out / 'codes.csv'}")
    look = f"isavae explore {shlex.quote(str(out))}"
    say(f"model:  {out / 'model.safetensors'}", f"look:   {look}")


def _flags(**values: object) -> list[str]:
    """The flags of the values that were given, as on the command line."""
    flags = []
    for name, value in values.items():
        if value is not None:
            words = value if isinstance(value, (list, tuple)) else [value]
            flags += [f"--{name}", *map(str, words)]
    return flags


def seconds(text: str) -> float:
    """Parse a time such as 90s, 15m or 2h; a bare number is in minutes.

    Raises:
        ValueError: If it is no time, or not positive.

    Examples:
        >>> seconds("1.5m")
        90.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise ValueError(f"A time must be a positive number with s, m or h, but is {text!r}.")
    return float(match[1]) * UNITS[match[2] or "m"]
