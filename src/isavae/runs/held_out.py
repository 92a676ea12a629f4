"""The images that a run is trained on, and those that it holds out."""

import warnings

import numpy as np

from isavae.data import ImageDataset
from isavae.runs.config import RunConfig
from isavae.runs.directory import Run
from isavae.runs.model_file import HELD_OUT


def training_images(config: RunConfig, data: ImageDataset) -> ImageDataset:
    """The images that a run is trained on: all that it does not hold out.

    Args:
        config: The run's configuration.
        data: All images.

    Raises:
        ValueError: If one of the two parts would be empty.
    """
    return data.split(config.seed, config.held_out)[0] if config.held_out else data


def scored_parts(run: Run, data: ImageDataset) -> dict[str, np.ndarray]:
    """The positions of the images that are scored together, by what precedes names of scores.

    Args:
        run: A trained run.
        data: The images; those of another data set than the run's are not divided.
    """
    config, trained_on = run.config, run.metadata().get("images")
    everything = {"": np.arange(len(data))}
    if not config.held_out:
        return everything
    if trained_on and data.fingerprint != trained_on:
        warnings.warn(
            f"the images of {data.name} must be those of {run.path} to know which it held out, "
            "but are others: they are scored as one part",
            stacklevel=2,
        )
        return everything
    training, held_out = data.split_positions(config.seed, config.held_out)
    return {"": training, HELD_OUT: held_out}
