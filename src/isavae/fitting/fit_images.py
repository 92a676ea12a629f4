"""From a folder of images to a chosen model and its report; can be killed and resumed."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isavae.data import load
from isavae.data.own.decoding import DEFAULT_FIT
from isavae.errors import shown
from isavae.evaluation import encode_all
from isavae.explained import explained
from isavae.fitting.axes import axes_of
from isavae.fitting.fitted import Fitted
from isavae.fitting.model_choice import candidates, choose, peers_of
from isavae.fitting.output_folder import OutputFolder
from isavae.fitting.proposal import Budget, check_size, propose
from isavae.fitting.training_images import Source, open_collection, read_training_images
from isavae.runs import TrainedModel
from isavae.runs.names_file import names_beside
from isavae.studies import LocalEngine, Study, StudyProgress, available_cores, run_study


def fit(
    source: Source,
    out: str | os.PathLike[str] = "found",
    budget: float = 900.0,
    *,
    size: int | tuple[int, int] | None = None,
    fit: str = DEFAULT_FIT,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: Sequence[float] = (),
    seeds: int | None = None,
    learn_exponents: bool = False,
    steps: int | None = None,
    workers: int | None = None,
    on_reasons: Callable[[tuple[str, ...]], None] = lambda reasons: None,
    on_change: Callable[[StudyProgress], None] | None = None,
) -> Fitted:
    """Train candidates on images, choose one, and write the results.

    The same call again resumes where the last one stopped, with what was decided then. Only the
    budget and the workers may change.

    Args:
        source: A folder of images (folders within it count, too) or an array file, with options
            in brackets as for `load`, the name of a data set, or images.
        out: The output folder.
        budget: Seconds, or `math.inf`; training that has not ended by then is stopped and can be
            resumed.
        size: Height and width to bring images to, or one number for both; proposed if left
            out.
        fit: What to do with other proportions: `crop`, `pad` or `stretch`.
        prior: The prior; proposed if left out, as are `likelihood` and `beta` (see `propose`).
        likelihood: p(x|z).
        beta: The values of β.
        seeds: Runs per β, at least 2; 4 if left out, or 2 if the budget is short.
        learn_exponents: Whether the exponents within subspaces are learned.
        steps: Optimiser steps per run; by default as many as the budget allows.
        workers: Runs at a time; by default one per core.
        on_reasons: Called before training with the sentences about what will be trained.
        on_change: Called whenever the study has progressed; by default one line in a terminal or a
            notebook shows it.

    Raises:
        ValueError: If there are too few images, or `out` was made from others or with other
            arguments.
    """
    started = time.monotonic()
    if not isinstance(budget, (int, float)) or not budget > 0:
        raise ValueError(f"a budget must be a positive number of seconds; got {shown(budget)}")
    output = OutputFolder(Path(out))
    source = open_collection(source)
    workers = workers or available_cores()
    sides = (size, size) if isinstance(size, int) else size
    given = _given(
        size=sides,
        fit=None if fit == DEFAULT_FIT else fit,
        prior=prior,
        likelihood=likelihood,
        beta=[float(value) for value in beta] or None,
        seeds=seeds,
        learn_exponents=learn_exponents or None,
        steps=steps,
    )
    decided = output.decisions(source, given)
    if decided is None:
        found = read_training_images(source, sides, fit, check_size)
        proposal = propose(
            found,
            prior=prior,
            likelihood=likelihood,
            beta=beta,
            seeds=seeds,
            learn_exponents=learn_exponents,
        )
        decided = output.decide(found, proposal, Budget(budget, workers, steps), given)
    decided = output.follow_move(decided)
    on_reasons(tuple(decided["reasons"]))
    study = Study.parse(decided["study"])
    progress = run_study(
        study,
        output.study,
        LocalEngine(min(workers, len(study.runs))),
        on_change=on_change,
        should_stop=lambda: time.monotonic() - started > budget,
    )
    return _conclude(output, decided, "; ".join(sorted(set(progress.failed.values()))))


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that were given, as JSON keeps them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
        if value is not None
    }


def write_again(out: str | os.PathLike[str]) -> Fitted:
    """Write the results of a fit again, such as under new names of its axes; nothing is trained.

    Args:
        out: The output folder.

    Raises:
        ValueError: If it is none, or has no results.
    """
    output = OutputFolder(Path(out))
    decided = output.decided()
    if decided is None:
        raise ValueError(f"a folder must be one that `isavae fit` wrote; {out} is not")
    return _conclude(output, output.follow_move(decided))


def _conclude(output: OutputFolder, decided: dict[str, Any], failed: str = "") -> Fitted:
    """Choose among the finished runs, and write the results."""
    runs = Study.parse(decided["study"]).runs
    done = sum(output.study.is_done(run.id) for run in runs)
    data = load(runs[0].config.data)
    found = candidates(output.study, data)
    if not found:
        raise ValueError(
            f"Two runs of one β must finish, but {done} of {len(runs)} are done"
            + (f", and others failed: {failed}" if failed else "")
            + ": give the same command again to resume, or with a longer --budget."
        )
    chosen = choose(found)
    model = TrainedModel.from_run(chosen.run)
    model.facts["preprocessing"] = decided["preprocessing"]
    if (names := names_beside(output.model, model.config)) is not None:
        model.facts["names"] = names
    axes = axes_of(chosen.codes, peers_of(chosen, found), model.vae.prior.subspaces)
    fitted = Fitted(
        model,
        axes,
        encode_all(model.vae, data),
        tuple(decided["names"]),
        found,
        chosen,
        explained(model.vae, np.load(output.images, mmap_mode="r"), len(axes)),
        tuple(decided["reasons"]),
        decided["left_out"],
        len(runs) - done,
    )
    model.facts["axes"] = fitted.shared_axes()
    output.write_results(fitted, data)
    return fitted
