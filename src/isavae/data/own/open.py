"""A user's own images, wherever they come from: read once into the cache, opened from there."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from isavae.data.cache import Factors, cached
from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.own.arrays import AXES, read_array
from isavae.data.own.factor_table import read_factors
from isavae.data.own.folder import (
    find_preprocessing,
    fingerprint,
    image_files,
    list_left_out,
    read_folder,
)
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.own.stream import ImageStream
from isavae.data.places import cache_file
from isavae.data.read_progress import progress

# Changes whenever the same files are to be read into other pixels.
VERSION = 3


def open_path(
    path: Path,
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    channels: int | None = None,
    axes: str = "",
    factors: Path | None = None,
    factors_by_order: bool = False,
) -> ImageDataset:
    """Open a folder of images or an array file; what was read once is kept in the cache.

    Args:
        path: The folder or file.
        size: Height and width to bring images of a folder to.
        fit: How: `crop`, `pad` or `stretch`.
        channels: 1 or 3, for a folder; by default recognised.
        axes: Axes of an array: `hw`, `hwc` or `chw`; by default recognised.
        factors: A table of the factors; by default `factors.csv` in the folder, if there.
        factors_by_order: Whether a table without names has one row per image, in their order.

    Raises:
        ValueError: If the images or factors cannot be read, or a rule is missing.
    """
    if axes not in ("", *AXES):
        raise ValueError(f"The option axes must be one of {', '.join(AXES)}, but is {axes!r}.")
    Preprocessing(size or (1, 1), fit, channels or 1)  # checks them
    if factors is None and (path / "factors.csv").is_file():
        factors = path / "factors.csv"
    files = image_files(path) if path.is_dir() else []
    options = [VERSION, str(path.resolve()), size, fit, channels, axes, str(factors or "")]
    options += [factors_by_order]
    options += [fingerprint(path, files) if files else fingerprint(path.parent, [str(path)])]
    options += [fingerprint(factors.parent, [str(factors)]) if factors else ""]
    digest = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]

    def make() -> tuple[tuple[int, int, int], Iterator[np.ndarray], Factors]:
        if files:
            found = read_folder(path, find_preprocessing(files, size, fit, channels), files)
        else:
            found = read_array(path, axes)
        grid = None if factors is None else _factors(factors, found, factors_by_order)
        blocks = progress(_named(found), found.count, f"reading {path.name}", len, "images")
        return found.shape, blocks, grid

    dataset = cached(cache_file(f"own-{path.name}-{digest}"), f"{path.name}/{digest}", make)
    if not files:
        return dataset
    n_channels, *edges = dataset.shape
    used = Preprocessing((edges[0], edges[1]), fit or "crop", n_channels)
    return replace(dataset, preprocessing=used)


def _named(found: ImageStream) -> Iterator[np.ndarray]:
    """The blocks of a stream; warns in the end of images that are left out."""
    yield from found.blocks
    if found.left_out:
        n, verb = len(found.left_out), "is" if len(found.left_out) == 1 else "are"
        listed = list_left_out(found.left_out)
        warnings.warn(f"{n:,} of {found.count:,} images {verb} left out: {listed}.", stacklevel=2)


def _factors(table: Path, found: ImageStream, by_order: bool) -> Callable[[], FactorGrid]:
    """Read the factors of all images at once, and give those of the images that could be read."""
    grid = read_factors(table, found.count, found.names, by_order)
    return lambda: grid.take(found.positions()) if found.left_out else grid
