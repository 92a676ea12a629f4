"""A user's own images, wherever they come from: read once into the cache, opened from there."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from isavae.data.cache import cache_file, read, write
from isavae.data.dataset import ImageDataset
from isavae.data.progress import progress


@final
@dataclass(frozen=True)
class Own:
    """Images that are about to be read.

    Args:
        shape: (channels, height, width).
        count: How many there are.
        blocks: Their pixels as they are stored, some at a time.
        names: The name of every image, where it has one.
    """

    shape: tuple[int, int, int]
    count: int
    blocks: Iterator[np.ndarray]
    names: Sequence[str] = ()


def open_path(
    path: Path,
    size: tuple[int, int] | None = None,
    fit: str = "",
    channels: int = 0,
    layout: str = "",
    factors: Path | None = None,
) -> ImageDataset:
    """Open a folder of pictures or an array file; what was read once is kept in the cache.

    Args:
        path: The folder or file.
        size: Height and width to bring pictures of a folder to.
        fit: How: `crop`, `pad` or `stretch`.
        channels: 1 or 3, for a folder; by default recognised.
        layout: Axes of an array: `hw`, `hwc` or `chw`; by default recognised.
        factors: A CSV file with the factors; by default `factors.csv` in the folder, if there.

    Raises:
        ValueError: If the images or factors cannot be read, or a rule is missing.
    """
    from isavae.data.arrays import read_array
    from isavae.data.images import read_folder
    from isavae.data.table import read_factors

    if factors is None and (path / "factors.csv").is_file():
        factors = path / "factors.csv"
    options = [size, fit, channels, layout, None if factors is None else _stamp(factors)]
    content = f"{path.name}/{_fingerprint(path, options)}"
    kept = cache_file(f"own-{content.replace('/', '-')}")
    dataset = read(kept, content)
    if dataset is None:
        own = read_folder(path, size, fit, channels) if path.is_dir() else read_array(path, layout)
        grid = None if factors is None else read_factors(factors, own.count, own.names)
        write(
            kept, content, own.shape, progress(own.blocks, own.count, f"reading {path}", len), grid
        )
        dataset = read(kept, content)
    if dataset is None:
        raise ValueError(f"{kept} must stay as it was written, but changed: read the images again.")
    return dataset


def _fingerprint(path: Path, options: Sequence) -> str:
    """Changes with every file's name, size and time of change, and with the options."""
    from isavae.data.images import picture_files

    files = picture_files(path) if path.is_dir() else [str(path)]
    digest = hashlib.sha256(json.dumps([str(path.resolve()), options]).encode())
    for file in files:
        digest.update(json.dumps(_stamp(file)).encode())
    return digest.hexdigest()[:16]


def _stamp(file: str | Path) -> tuple[str, int, int]:
    status = os.stat(file)
    return str(file), status.st_size, status.st_mtime_ns
