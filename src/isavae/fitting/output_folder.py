"""The output folder of a fit.

It holds:

- `model.safetensors`: the chosen model; `isavae encode`, `decode`, `sample`, `export` read it.
- `report.html`: the results, to be opened in a browser.
- `model.names.json`: names that the user gave to latents (`isavae name-axes`).
- `codes.csv`, `codes.parquet`: the code of every image.
- `fit.json`: what was decided; `images.npy`: the images as they were read; `study/`: every run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.lib import format as numpy_format

from isavae.data import ImageDataset, Preprocessing
from isavae.data.safe_reading import crc32_of
from isavae.files import (
    DamagedFileError,
    atomic_write,
    read_json,
    write_json,
    write_text,
)
from isavae.fitting.codes_table import codes_table, write_table
from isavae.fitting.fit_report import render
from isavae.fitting.fitted import Fitted
from isavae.fitting.proposal import Budget, Proposal, schedule
from isavae.fitting.training_images import Opened, TrainingImages, find_fingerprint, image_folder
from isavae.runs import Run
from isavae.runs.hub import MODEL_FILE
from isavae.runs.moved_images import FIT_FILE, FIT_IMAGES
from isavae.studies import Study, StudyDirectory

# Bytes of `fit.json`: it holds the names of all images, of half a million.
MOST_BYTES = 1 << 25


@final
@dataclass(frozen=True)
class OutputFolder:
    """The folder at a path, whether or not it exists."""

    path: Path

    @property
    def study(self) -> StudyDirectory:
        return StudyDirectory(self.path / "study")

    @property
    def model(self) -> Path:
        return self.path / MODEL_FILE

    @property
    def images(self) -> Path:
        return self.path / FIT_IMAGES

    def data(self, preprocessing: Preprocessing) -> str:
        """The name of the images as a data set."""
        show = "|".join(map(str, preprocessing.show))
        options = "axes=chw, range=dtype" + (f", show={show}" if show else "")
        return f"{self.images.resolve()}[{options}]"

    def decisions(self, source: Opened, given: dict[str, Any]) -> dict[str, Any] | None:
        """What was decided about these images before training; None if the output is new.

        Args:
            source: The images.
            given: The arguments that are given now, by name.

        Raises:
            ValueError: If the output was made from other images or with other arguments, is
                something else, or is damaged.
        """
        path, folder = self.path.resolve(), image_folder(source)
        if folder is not None and path.is_relative_to(folder.resolve()):
            raise ValueError(
                f"The output must not lie among the images, but {self.path} is below {folder}: "
                "choose another folder."
            )
        decided = self.decided()
        if decided is None and path.exists() and (not path.is_dir() or (path / "study").exists()):
            raise ValueError(
                f"The output must be a new folder, but {self.path} is not: choose another."
            )
        if decided and find_fingerprint(source) not in (None, decided["fingerprint"]):
            raise ValueError(
                f"{self.path} must be made from the images that {source} holds, but was made from "
                "other images: choose another output folder, or restore the images."
            )
        if decided:
            _check_kept(self.path, given, decided.get("given", {}))
        return decided

    def decided(self) -> dict[str, Any] | None:
        """What `decide` wrote.

        Raises:
            DamagedFileError: If it, or the images that it is about, are not what was written.
        """
        file = self.path / FIT_FILE
        if not file.is_file():
            return None
        decided = read_json(file, MOST_BYTES)
        if not self.images.is_file() or _crc32(self.images) != decided["images"]:
            raise DamagedFileError(
                f"{self.images} must be as isavae wrote it, but is missing, damaged or changed: "
                "restore it, or choose another output folder"
            )
        return decided

    def decide(
        self,
        found: TrainingImages,
        proposal: Proposal,
        budget: Budget,
        given: dict[str, Any],
    ) -> dict[str, Any]:
        """Write the images and what is decided about them; return the decisions."""
        with atomic_write(self.images) as file:
            numpy_format.write_array_header_1_0(
                file, numpy_format.header_data_from_array_1_0(found.images)
            )
            file.write(np.ascontiguousarray(found.images).data)  # `np.save` hides why it fails
        proposal = schedule(proposal, self.data(found.preprocessing), budget)
        decided = {
            "fingerprint": found.fingerprint,
            "images": _crc32(self.images),
            "preprocessing": found.preprocessing.to_dict(),
            "names": found.names,
            "left_out": found.left_out,
            "given": given,
            "reasons": proposal.reasons,
            "study": proposal.study(self.data(found.preprocessing)),
        }
        write_json(self.path / FIT_FILE, decided, most=MOST_BYTES)
        return decided

    def follow_move(self, decided: dict[str, Any]) -> dict[str, Any]:
        """Let the runs of a folder that was moved or renamed find its images where they are now.

        The decisions are written last, so that a kill leaves a move that is followed again.
        """
        before = Study.parse(decided["study"])
        data = self.data(Preprocessing.from_dict(decided["preprocessing"]))
        if before.runs[0].config.data == data:
            return decided
        study = before.on_data(data)
        for old, new in zip(before.runs, study.runs, strict=True):
            path = self.study.run_path(old.id)
            if path.exists():
                Run.open(path).renamed(new.config, self.study.run_path(new.id))
        write_text(self.study.path / "study.yaml", study.text)
        decided = decided | {"study": study.text}
        write_json(self.path / FIT_FILE, decided, most=MOST_BYTES)
        return decided

    def write_results(self, fitted: Fitted, data: ImageDataset) -> None:
        """Write model, codes and report."""
        fitted.model.save(self.model)
        table = codes_table(fitted.names, fitted.codes, fitted.model.names)
        for name in ("codes.csv", "codes.parquet"):
            write_table(table, self.path / name)
        with atomic_write(self.path / "report.html") as file:
            page = render(fitted, data, self.path.resolve().name)
            file.write(page.encode(errors="backslashreplace"))  # a name may be no UTF-8


def _check_kept(out: Path, given: dict[str, Any], before: dict[str, Any]) -> None:
    """Check that what is given now was given when the fit began; the rest is kept without a word.

    Raises:
        ValueError: If it was not.
    """
    for name, value in given.items():
        if before.get(name) != value:
            was = f"was {before[name]}" if name in before else "was not given"
            raise ValueError(
                f"a resumed fit must keep what it began with; in {out} {name} {was}, now it "
                f"is {value}: leave it out to resume, or choose another output folder"
            )


def _crc32(path: Path) -> str:
    with path.open("rb") as file:
        return f"{crc32_of(file, path.stat().st_size):08x}"
