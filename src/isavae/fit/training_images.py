"""The images of a folder as `fit` trains on them: one array, square, at a proposed size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import final

import numpy as np

from isavae.data.own.folder import (
    find_preprocessing,
    fingerprint,
    image_files,
    image_sizes,
    list_left_out,
    read_folder,
)
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.read_progress import progress

# Fewer images are refused.
FEWEST = 16
SIZES = (16, 32, 64)


@final
@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The readable images of a folder.

    Attributes:
        names: Their paths below the folder.
        images: uint8, (images, channels, height, width).
        left_out: Why an image cannot be read, by name.
        original: Width and height of every readable image, from its header.
        preprocessing: How they were read.
        fingerprint: Changes with the name, size or time of change of any file.
    """

    names: tuple[str, ...]
    images: np.ndarray
    left_out: dict[str, str]
    original: tuple[tuple[int, int], ...]
    preprocessing: Preprocessing
    fingerprint: str


def read_training_images(folder: Path, size: int | None = None) -> TrainingImages:
    """Read every image below a folder, cropped to a square; those that cannot be are left out.

    Args:
        folder: The images; folders below it count.
        size: Height and width to bring them to; by default the largest of 64, 32 and 16 that half
            of the images have.

    Raises:
        ValueError: If there are too few readable images, or they are all the same.
    """
    files = image_files(folder)
    original = image_sizes(files)
    size = size or propose_size([found for found in original if min(found)])
    preprocessing = find_preprocessing(files, (size, size), "crop")
    stream = read_folder(folder, preprocessing, files)
    blocks = [*progress(stream.blocks, stream.count, f"reading {folder.name}", len, "images")]
    images = np.concatenate(blocks)
    if len(images) < FEWEST:
        raise ValueError(
            f"At least {FEWEST} images must be readable, but of the {len(files)} in {folder} only "
            f"{len(images)} are: add images. {list_left_out(stream.left_out)}".strip()
        )
    if (images == images[0]).all():
        raise ValueError(
            f"Images must differ from each other, but the {len(images)} in {folder} are all the "
            "same: use others."
        )
    kept = stream.positions()
    return TrainingImages(
        tuple(stream.names[k] for k in kept),
        images,
        dict(stream.left_out),
        tuple(original[k] for k in kept),
        preprocessing,
        fingerprint(folder, files),
    )


def propose_size(sizes: Sequence[tuple[int, int]]) -> int:
    """The largest of 64, 32 and 16 that half of the images have on their shorter side.

    Examples:
        >>> propose_size([(640, 480), (30, 50), (40, 40)])
        32
    """
    shorter = median([min(size) for size in sizes] or [0])
    return max((size for size in SIZES if size <= shorter), default=SIZES[0])
