"""The images of a run, also where the folder of `isavae fit` that holds both was moved."""

import re
from pathlib import Path

from isavae.data import ImageDataset, load
from isavae.data.catalog import check_images_are_there
from isavae.runs.directory import Run
from isavae.runs.model_file import FIT_FILE

# The images of a folder of `isavae fit`.
FIT_IMAGES = "images.npy"
FITTED = re.compile(rf".*[/\\]{re.escape(FIT_IMAGES)}((?:\[[^\[\]]*\])?)", re.DOTALL)


def run_images(run: Run, data: ImageDataset | None = None) -> ImageDataset:
    """The images that a run was trained on.

    Args:
        run: The run.
        data: Images to take instead, of the same shape.

    Raises:
        ValueError: If they are not there, or of another shape.
    """
    if data is None:
        name = images_name(run)
        check_images_are_there(name, str(run.path))
        data = load(name)
    if (shape := tuple(run.metadata()["shape"])) != data.shape:
        raise ValueError(
            f"the images must have the run's shape {shape}; those of {data.name} have "
            f"{data.shape}: choose others with --data"
        )
    return data


def images_name(run: Run) -> str:
    """The name of a run's images: those of the fit that holds it, wherever that was moved to."""
    name = run.config.data
    if found := FITTED.fullmatch(name):
        for folder in run.path.resolve().parents:
            if is_fitted(folder):
                return f"{folder / FIT_IMAGES}{found[1]}"
    return name


def is_fitted(folder: Path) -> bool:
    """Whether a path is a folder that `isavae fit` wrote, with its images."""
    return (folder / FIT_FILE).is_file() and (folder / FIT_IMAGES).is_file()
