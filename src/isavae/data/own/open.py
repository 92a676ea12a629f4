"""A user's own images, wherever they come from: read once into the cache, opened from there."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isavae.data.cache import Factors, cached
from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.own.arrays import AXES, read_array
from isavae.data.own.decoding import FITS
from isavae.data.own.factor_table import read_factors
from isavae.data.own.folder import picture_files, read_folder
from isavae.data.own.stream import ImageStream
from isavae.data.places import cache_file
from isavae.data.progress import progress


def open_path(
    path: Path,
    size: tuple[int, int] | None = None,
    fit: str = "",
    channels: int = 0,
    axes: str = "",
    factors: Path | None = None,
) -> ImageDataset:
    """Open a folder of pictures or an array file; what was read once is kept in the cache.

    Args:
        path: The folder or file.
        size: Height and width to bring pictures of a folder to.
        fit: How: `crop`, `pad` or `stretch`.
        channels: 1 or 3, for a folder; by default recognised.
        axes: Axes of an array: `hw`, `hwc` or `chw`; by default recognised.
        factors: A CSV file with the factors; by default `factors.csv` in the folder, if there.

    Raises:
        ValueError: If the images or factors cannot be read, or a rule is missing.
    """
    _require_options(size, fit, channels, axes)
    if factors is None and (path / "factors.csv").is_file():
        factors = path / "factors.csv"
    options = [size, fit, channels, axes, None if factors is None else _stamp(factors)]
    files = picture_files(path) if path.is_dir() else []
    content = f"{path.name}/{_fingerprint(path, files, options)}"

    def make() -> tuple[tuple[int, int, int], Iterator[np.ndarray], Factors]:
        found = read_folder(path, files, size, fit, channels) if files else read_array(path, axes)
        grid = None if factors is None else _factors(factors, found)
        blocks = progress(found.blocks, found.count, f"reading {path.name}", len, "images")
        return found.shape, blocks, grid

    return cached(cache_file(f"own-{content.replace('/', '-')}"), content, make)


def _require_options(size: Any, fit: str, channels: int, axes: str) -> None:
    """Refuse options that no image could follow."""
    rules = (
        ("size", "two positive whole numbers", size, size is None or _is_size(size)),
        ("fit", f"one of {', '.join(FITS)}", fit, fit in ("", *FITS)),
        ("channels", "1 or 3", channels, channels in (0, 1, 3)),
        ("axes", f"one of {', '.join(AXES)}", axes, axes in ("", *AXES)),
    )
    for name, must, value, right in rules:
        if not right:
            raise ValueError(f"The option {name} must be {must}, but is {value!r}.")


def _is_size(size: Any) -> bool:
    return len(size) == 2 and all(isinstance(edge, int) and edge > 0 for edge in size)


def _factors(table: Path, found: ImageStream) -> Callable[[], FactorGrid]:
    """Read the factors of all images at once, and give those of the undamaged ones in the end."""
    grid = read_factors(table, found.count, found.names)

    def of_undamaged() -> FactorGrid:
        if not found.damaged:
            return grid
        return grid.take(np.delete(np.arange(found.count), sorted(found.damaged)))

    return of_undamaged


def _fingerprint(path: Path, files: Sequence[str], options: Sequence) -> str:
    """Changes with every file's name, size and time of change, and with the options."""
    stamps = map(repr, map(_stamp, files or [path]))
    told = "\n".join([json.dumps([str(path.resolve()), options]), *stamps])
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]


def _stamp(file: str | Path) -> tuple[str, int, int]:
    status = os.stat(file)
    return str(file), status.st_size, status.st_mtime_ns
