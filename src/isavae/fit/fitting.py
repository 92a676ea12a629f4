"""A folder of pictures to a chosen model, its codes and its report; killed and continued at will.

What is left in the output folder:

- `model.safetensors`: the chosen model; `isavae encode`, `decode`, `sample`, `export` read it.
- `report.html`: what it found, to be opened in a browser.
- `codes.csv`, `codes.parquet`: every picture's code.
- `fit.json`: what was decided; `pictures.npy`: the pictures as they were read; `study/`: every run.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from isavae.data import ImageDataset, load
from isavae.evaluation import encode_all
from isavae.files import atomic_write
from isavae.fit.axes import Axis, axes_of
from isavae.fit.codes import codes_table, write_table
from isavae.fit.page import Findings, render
from isavae.fit.pictures import fingerprint, read_pictures
from isavae.fit.proposal import propose
from isavae.fit.schedule import Budget, schedule
from isavae.fit.selection import Candidate, candidates, choose, peers_of
from isavae.metrics import Codes
from isavae.sharing import PortableModel
from isavae.studies import (
    LocalEngine,
    Study,
    StudyDirectory,
    StudyProgress,
    available_cores,
    run_study,
)


@final
@dataclass(frozen=True, eq=False)
class Fitted:
    """What `fit_folder` found.

    Attributes:
        model: the chosen model.
        axes: its latents in use, the most telling first.
        codes: of all pictures.
        names: of all pictures.
        candidates: every finished run.
        chosen: the chosen one among them.
        reasons: what was decided before training, one sentence each.
        unfinished: runs that the budget did not allow to finish.
    """

    model: PortableModel
    axes: list[Axis]
    codes: Codes
    names: tuple[str, ...]
    candidates: list[Candidate]
    chosen: Candidate
    reasons: tuple[str, ...]
    unfinished: int

    def sentences(self) -> list[str]:
        """What was found, in plain words."""
        used = len(self.axes)
        found = [
            f"The model with β = {self.chosen.beta:g}, seed {self.chosen.seed}, was chosen without "
            f"labels: its agreement with other seeds (UDR) is {self.chosen.udr:.2f}.",
            f"It uses {used} of {self.model.vae.prior.n_latents} latents.",
        ]
        for verdict, meaning in (
            ("stable", "other seeds find the same axes: they can be trusted"),
            ("partly stable", "other seeds find something similar: look before you rely on them"),
            ("not stable", "other seeds find other axes: read nothing into them one by one"),
        ):
            named = [axis.name for axis in self.axes if axis.verdict == verdict]
            if named:
                found.append(f"{verdict.capitalize()}: {', '.join(named)}; {meaning}.")
        if self.unfinished:
            found.append(
                f"{self.unfinished} runs did not finish within the budget: start again to go on."
            )
        return found


def fit_folder(
    folder: Path,
    out: Path,
    budget: float = 900.0,
    *,
    workers: int | None = None,
    size: int | None = None,
    steps: int | None = None,
    on_reasons: Callable[[tuple[str, ...]], None] = lambda reasons: None,
    on_change: Callable[[StudyProgress], None] | None = None,
    **wishes: Any,
) -> Fitted:
    """Train candidates on the pictures below a folder, choose one, write what it found.

    Calling it again with the same folders goes on where it stopped.

    Args:
        folder: the pictures.
        out: where results go.
        budget: seconds; training that has not ended by then is broken off, and can be continued.
        workers: runs at a time; by default the cores of this machine.
        size: height and width of the pictures as the model sees them; proposed if left out.
        steps: of each run; by default as many as the budget allows.
        on_reasons: called with the sentences about what will be trained, before it is.
        on_change: called whenever the study has moved on.
        **wishes: what `propose` takes: layout, likelihood, beta, seeds, learn_exponents.

    Raises:
        ValueError: if there are too few pictures, or `out` belongs to others.
    """
    started = time.monotonic()
    workers = workers or available_cores()
    _require_fitting_place(folder, out)
    if not (out / "fit.json").is_file():
        _decide(folder, out, size, wishes, Budget(budget, workers, steps))
    decided = json.loads((out / "fit.json").read_text())
    on_reasons(tuple(decided["reasons"]))
    directory = StudyDirectory(out / "study")
    study = Study.parse(decided["study"])
    tally = run_study(
        study,
        directory,
        LocalEngine(min(workers, len(study.runs))),
        threads=1,
        on_change=on_change,
        should_stop=lambda: time.monotonic() - started > budget,
    )
    return _conclude(out, directory, decided, tally)


def _require_fitting_place(folder: Path, out: Path) -> None:
    """Check that `out` is new, or was made from the same pictures."""
    if set("[]") & set(str(out.resolve())):
        raise ValueError(f"the output folder's path must be free of [ and ]; got {out.resolve()}")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the output must not lie among the pictures; {out} is below {folder}")
    if not (out / "fit.json").is_file():
        if out.exists() and (not out.is_dir() or (out / "study").exists()):
            raise ValueError(f"the output must be a new folder; {out} is not: choose another")
        return
    if folder.is_dir() and json.loads((out / "fit.json").read_text())["pictures"] != fingerprint(
        folder
    ):
        raise ValueError(
            f"{out} was made of other pictures than {folder} holds now: choose another output "
            "folder, or restore the pictures"
        )


def _decide(
    folder: Path, out: Path, size: int | None, wishes: dict[str, Any], length: Budget
) -> None:
    """Read the pictures, propose, and write both down."""
    pictures = read_pictures(folder, size)
    proposal = propose(pictures, **wishes)
    stored = out / "pictures.npy"
    with atomic_write(stored) as file:
        np.save(file, pictures.images)
    data = f"{stored.resolve()}[axes=chw]"
    proposal = schedule(proposal, data, length)
    decided = {
        "pictures": pictures.fingerprint,
        "names": pictures.names,
        "skipped": pictures.skipped,
        "reasons": proposal.reasons,
        "study": proposal.study(data),
    }
    with atomic_write(out / "fit.json") as file:
        file.write(json.dumps(decided, indent=1).encode())


def _conclude(
    out: Path, directory: StudyDirectory, decided: dict[str, Any], tally: StudyProgress
) -> Fitted:
    """Choose among what is finished, and write model, codes and report."""
    data = load(directory.study().runs[0].config.data)
    found = candidates(directory, data)
    if not found:
        failed = "; ".join(sorted(set(tally.failed.values())))
        raise ValueError(
            f"two runs of one β must finish, but {tally.done} of {tally.total} are done"
            + (f", and others failed: {failed}" if failed else "")
            + ": start again to go on, or give a longer --budget"
        )
    chosen = choose(found)
    model = PortableModel.from_run(chosen.run)
    codes = encode_all(model.vae, data)
    fitted = Fitted(
        model,
        axes_of(chosen.codes, peers_of(chosen, found), model.vae.prior.subspaces),
        codes,
        tuple(decided["names"]),
        found,
        chosen,
        tuple(decided["reasons"]),
        tally.total - tally.done,
    )
    model.save(out / "model.safetensors")
    table = codes_table(fitted.names, codes, model.vae.prior.subspaces)
    for name in ("codes.csv", "codes.parquet"):
        write_table(table, out / name)
    _write_report(out, fitted, data, decided["skipped"])
    return fitted


def _write_report(out: Path, fitted: Fitted, data: ImageDataset, skipped: dict[str, str]) -> None:
    findings = Findings(
        fitted.model,
        data,
        fitted.codes,
        fitted.axes,
        fitted.candidates,
        fitted.chosen,
        (*fitted.reasons,),
        (*fitted.sentences(),),
        skipped,
    )
    with atomic_write(out / "report.html") as file:
        file.write(render(findings).encode())
