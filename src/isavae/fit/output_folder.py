"""The output folder of a fit.

It holds:

- `model.safetensors`: the chosen model; `isavae encode`, `decode`, `sample`, `export` read it.
- `report.html`: the results, to be opened in a browser.
- `codes.csv`, `codes.parquet`: the code of every image.
- `fit.json`: what was decided; `images.npy`: the images as they were read; `study/`: every run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from isavae.data import ImageDataset
from isavae.files import atomic_write, read_json, write_json
from isavae.fit.codes_table import codes_table, write_table
from isavae.fit.fit_report import render
from isavae.fit.fitted import Fitted
from isavae.fit.proposal import Budget, Proposal, schedule
from isavae.fit.training_images import Source, TrainingImages, find_fingerprint, image_folder
from isavae.studies import StudyDirectory


@final
@dataclass(frozen=True)
class OutputFolder:
    """The folder at a path, whether or not it exists."""

    path: Path

    @property
    def study(self) -> StudyDirectory:
        return StudyDirectory(self.path / "study")

    def decisions(self) -> dict[str, Any] | None:
        """What was decided before training; None if nothing was."""
        file = self.path / "fit.json"
        return read_json(file) if file.is_file() else None

    def check(self, source: Source) -> None:
        """Check that the output is new, or was made from these images.

        Raises:
            ValueError: If it is not.
        """
        path, folder = self.path.resolve(), image_folder(source)
        if folder is not None and path.is_relative_to(folder.resolve()):
            raise ValueError(
                f"The output must not lie among the images, but {self.path} is below {folder}: "
                "choose another folder."
            )
        decided = self.decisions()
        if decided is None and path.exists() and (not path.is_dir() or (path / "study").exists()):
            raise ValueError(
                f"The output must be a new folder, but {self.path} is not: choose another."
            )
        if decided and find_fingerprint(source) not in (None, decided["fingerprint"]):
            raise ValueError(
                f"{self.path} must be made from the images that {source} holds, but was made from "
                "other images: choose another output folder, or restore the images."
            )

    def decide(self, found: TrainingImages, proposal: Proposal, budget: Budget) -> dict[str, Any]:
        """Write the images and what is decided about them; return the decisions."""
        stored = self.path / "images.npy"
        with atomic_write(stored) as file:
            np.save(file, found.images)
        show = "|".join(map(str, found.preprocessing.show))
        options = "axes=chw, range=dtype" + (f", show={show}" if show else "")
        data = f"{stored.resolve()}[{options}]"
        proposal = schedule(proposal, data, budget)
        decided = {
            "fingerprint": found.fingerprint,
            "preprocessing": found.preprocessing.to_dict(),
            "names": found.names,
            "left_out": found.left_out,
            "reasons": proposal.reasons,
            "study": proposal.study(data),
        }
        write_json(self.path / "fit.json", decided)
        return decided

    def write_results(self, fitted: Fitted, data: ImageDataset) -> None:
        """Write model, codes and report."""
        fitted.model.save(self.path / "model.safetensors")
        table = codes_table(fitted.names, fitted.codes, fitted.model.vae.prior)
        for name in ("codes.csv", "codes.parquet"):
            write_table(table, self.path / name)
        with atomic_write(self.path / "report.html") as file:
            file.write(render(fitted, data).encode())
