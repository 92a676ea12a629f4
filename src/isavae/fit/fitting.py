"""From a folder of images to a chosen model, its codes and its report; can be killed and resumed.

The output folder holds:

- `model.safetensors`: the chosen model; `isavae encode`, `decode`, `sample`, `export` read it.
- `report.html`: the results, to be opened in a browser.
- `codes.csv`, `codes.parquet`: the code of every image.
- `fit.json`: what was decided; `images.npy`: the images as they were read; `study/`: every run.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isavae.data import load
from isavae.data.own.folder import fingerprint, image_files
from isavae.evaluation import encode_all
from isavae.files import atomic_write
from isavae.fit.axes import axes_of
from isavae.fit.codes_table import codes_table, write_table
from isavae.fit.fit_report import render
from isavae.fit.fitted import Fitted
from isavae.fit.model_choice import candidates, choose, peers_of
from isavae.fit.proposal import SEEDS, Proposal, propose
from isavae.fit.schedule import Budget, schedule
from isavae.fit.training_images import TrainingImages, read_training_images
from isavae.runs import TrainedModel
from isavae.studies import (
    LocalEngine,
    Study,
    StudyDirectory,
    StudyProgress,
    available_cores,
    run_study,
)


def fit_folder(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    budget: float = 900.0,
    *,
    size: int | None = None,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: Sequence[float] = (),
    seeds: int = SEEDS,
    learn_exponents: bool = False,
    steps: int | None = None,
    workers: int | None = None,
    on_reasons: Callable[[tuple[str, ...]], None] = lambda reasons: None,
    on_change: Callable[[StudyProgress], None] | None = None,
) -> Fitted:
    """Train candidates on the images below a folder, choose one, and write the results.

    The same call again resumes where the last one stopped, with what was decided then.

    Args:
        folder: The images; those in folders below it count.
        out: The output folder.
        budget: Seconds; training that has not ended by then is stopped and can be resumed.
        size: Height and width of the images as the model sees them; proposed if left out.
        prior: The prior; proposed if left out, as are `likelihood` and `beta` (see `propose`).
        likelihood: p(x|z).
        beta: The values of β.
        seeds: Runs per β, at least 2.
        learn_exponents: Whether the exponents within subspaces are learned.
        steps: Optimiser steps per run; by default as many as the budget allows.
        workers: Runs at a time; by default one per core.
        on_reasons: Called before training with the sentences about what will be trained.
        on_change: Called whenever the study has progressed.

    Raises:
        ValueError: If there are too few images, or `out` was made from others.
    """
    folder, out = Path(folder), Path(out)
    started = time.monotonic()
    workers = workers or available_cores()
    _check_output(folder, out)
    if not (out / "fit.json").is_file():
        found = read_training_images(folder, size)
        proposal = propose(
            found,
            prior=prior,
            likelihood=likelihood,
            beta=beta,
            seeds=seeds,
            learn_exponents=learn_exponents,
        )
        _write_decisions(out, found, proposal, Budget(budget, workers, steps))
    decided = json.loads((out / "fit.json").read_text())
    on_reasons(tuple(decided["reasons"]))
    directory = StudyDirectory(out / "study")
    study = Study.parse(decided["study"])
    progress = run_study(
        study,
        directory,
        LocalEngine(min(workers, len(study.runs))),
        threads=1,
        on_change=on_change,
        should_stop=lambda: time.monotonic() - started > budget,
    )
    return _conclude(out, directory, decided, progress)


def _check_output(folder: Path, out: Path) -> None:
    """Check that `out` is new, or was made from the same images."""
    if set("[]") & set(str(out.resolve())):
        raise ValueError(
            f"The path of the output folder must be free of [ and ], but is {out.resolve()}: "
            "choose another."
        )
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"The output must not lie among the images, but {out} is below {folder}: "
            "choose another folder."
        )
    if not (out / "fit.json").is_file():
        if out.exists() and (not out.is_dir() or (out / "study").exists()):
            raise ValueError(f"The output must be a new folder, but {out} is not: choose another.")
        return
    stored = json.loads((out / "fit.json").read_text())["fingerprint"]
    if folder.is_dir() and stored != fingerprint(folder, image_files(folder)):
        raise ValueError(
            f"{out} must be made from the images that {folder} holds, but was made from other "
            "images: choose another output folder, or restore the images."
        )


def _write_decisions(out: Path, found: TrainingImages, proposal: Proposal, budget: Budget) -> None:
    """Write the images and what was decided about them."""
    stored = out / "images.npy"
    with atomic_write(stored) as file:
        np.save(file, found.images)
    data = f"{stored.resolve()}[axes=chw]"
    proposal = schedule(proposal, data, budget)
    decided = {
        "fingerprint": found.fingerprint,
        "preprocessing": found.preprocessing.to_dict(),
        "names": found.names,
        "left_out": found.left_out,
        "reasons": proposal.reasons,
        "study": proposal.study(data),
    }
    with atomic_write(out / "fit.json") as file:
        file.write(json.dumps(decided, indent=1).encode())


def _conclude(
    out: Path, directory: StudyDirectory, decided: dict[str, Any], progress: StudyProgress
) -> Fitted:
    """Choose among the finished runs, and write model, codes and report."""
    data = load(directory.study().runs[0].config.data)
    found = candidates(directory, data)
    if not found:
        failed = "; ".join(sorted(set(progress.failed.values())))
        raise ValueError(
            f"Two runs of one β must finish, but {progress.done} of {progress.total} are done"
            + (f", and others failed: {failed}" if failed else "")
            + ": start again to go on, or give a longer --budget."
        )
    chosen = choose(found)
    model = TrainedModel.from_run(chosen.run)
    model.facts["preprocessing"] = decided["preprocessing"]
    codes = encode_all(model.vae, data)
    fitted = Fitted(
        model,
        axes_of(chosen.codes, peers_of(chosen, found), model.vae.prior.subspaces),
        codes,
        tuple(decided["names"]),
        found,
        chosen,
        tuple(decided["reasons"]),
        decided["left_out"],
        progress.total - progress.done,
    )
    model.save(out / "model.safetensors")
    table = codes_table(fitted.names, codes, model.vae.prior)
    for name in ("codes.csv", "codes.parquet"):
        write_table(table, out / name)
    with atomic_write(out / "report.html") as file:
        file.write(render(fitted, data).encode())
    return fitted
