"""A folder of pictures as one array: what is readable, at one size, grey if nothing is coloured."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar, final

import numpy as np

from isavae.data.own import decoding
from isavae.data.own.folder import picture_files
from isavae.data.progress import progress
from isavae.data.safe_reading import import_extra

FEWEST = 16
GREY = 8  # JPEG gives grey pictures a little colour: up to so many of 255 steps between channels
SIZES = (16, 32, 64)


@final
@dataclass(frozen=True, eq=False)
class Pictures:
    """The readable pictures of a folder.

    Attributes:
        names: their paths below the folder.
        images: uint8, (pictures, channels, edge, edge).
        skipped: why each unreadable one is left out, by name.
        original: width and height of every readable one.
        fingerprint: changes with any file's name, size or time of change.
    """

    names: tuple[str, ...]
    images: np.ndarray
    skipped: dict[str, str]
    original: tuple[tuple[int, int], ...]
    fingerprint: str


def fingerprint(folder: Path) -> str:
    """Changes with every picture file's name, size and time of change."""
    stamps = [_stamp(Path(name), folder) for name in picture_files(folder)]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]


def _stamp(path: Path, folder: Path) -> tuple[str, int, int]:
    name = path.relative_to(folder).as_posix()
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere: reading it will say so
        return name, 0, 0
    return name, status.st_size, status.st_mtime_ns


@final
@dataclass(frozen=True, eq=False)
class Decoded:
    """What could be read of a folder.

    Attributes:
        pixels: uint8, (channels, height, width), by file.
        sizes: original width and height, by file.
        skipped: why a file could not be read, by its path below the folder.
    """

    pixels: dict[Path, np.ndarray]
    sizes: dict[Path, tuple[int, int]]
    skipped: dict[str, str]


def decode_folder(folder: Path, channels: int, size: tuple[int, int] | None = None) -> Decoded:
    """Every readable picture below a folder.

    Args:
        folder: where the pictures are; folders below it count.
        channels: 1 or 3.
        size: height and width to bring them to, the longer side cut evenly; by default a square of
            64, 32 or 16, whatever half of the pictures have at least.

    Raises:
        ValueError: if there is no picture file.
    """
    if not folder.is_dir():
        raise ValueError(f"there must be a folder of pictures at {folder}; there is none")
    files = [Path(name) for name in picture_files(folder)]
    skipped: dict[str, str] = {}
    sizes = _keep(files, _read_all(size_of, files, "looking at pictures"), folder, skipped)
    size = size or (propose_size([*sizes.values()]),) * 2

    def decode(path: Path) -> np.ndarray:
        return decoding.decode(str(path), channels, size, "crop")

    decoded = _read_all(decode, [*sizes], "reading pictures")
    return Decoded(_keep([*sizes], decoded, folder, skipped), sizes, skipped)


def read_pictures(folder: Path, size: int | None = None) -> Pictures:
    """Read every picture below a folder; those that cannot be read are left out, by name.

    Args:
        folder: where the pictures are; folders below it count.
        size: height and width to bring them to; proposed if left out (see `decode_folder`).

    Raises:
        ValueError: if there are too few readable pictures, or they are all the same.
    """
    decoded = decode_folder(folder, 3, (size, size) if size else None)
    _require_enough(len(decoded.pixels), decoded.skipped, folder)
    images = np.stack([*decoded.pixels.values()])
    if (images == images[0]).all():
        raise ValueError(
            f"pictures must differ from each other; the {len(images)} in {folder} are all the same"
        )
    if (images.max(1) - images.min(1)).max() <= GREY:
        images = images[:, 1:2]
    return Pictures(
        tuple(path.relative_to(folder).as_posix() for path in decoded.pixels),
        np.ascontiguousarray(images),
        decoded.skipped,
        tuple(decoded.sizes[path] for path in decoded.pixels),
        fingerprint(folder),
    )


def _require_enough(n: int, skipped: dict[str, str], folder: Path) -> None:
    if n < FEWEST:
        example = "".join(f", for example {name}: {why}" for name, why in [*skipped.items()][:1])
        raise ValueError(
            f"at least {FEWEST} pictures must be readable; {folder} holds {n} that are, and "
            f"{len(skipped)} that are not{example}"
        )


def propose_size(sizes: Sequence[tuple[int, int]]) -> int:
    """The largest of 64, 32 and 16 that half of the pictures have on their shorter side.

    >>> propose_size([(640, 480), (30, 50), (40, 40)])
    32
    """
    shorter = median([min(size) for size in sizes] or [0])
    return max((edge for edge in SIZES if edge <= shorter), default=SIZES[0])


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture file, from its header."""
    with import_extra("PIL.Image").open(path) as picture:
        return picture.size


T = TypeVar("T")


@final
@dataclass(frozen=True)
class Unreadable:
    """Why a file cannot be read."""

    why: str


def _read_all(read: Callable[[Path], T], files: Sequence[Path], label: str) -> list[T | Unreadable]:
    """What `read` gives for every file, or its complaint; with all cores."""

    def attempt(path: Path) -> T | Unreadable:
        try:
            return read(path)
        except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
            return Unreadable(decoding.reason(error, str(path)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(attempt, files), len(files), label))


def _keep(
    files: Sequence[Path], read: Sequence[T | Unreadable], folder: Path, skipped: dict[str, str]
) -> dict[Path, T]:
    """What could be read; what could not is added to `skipped`."""
    kept: dict[Path, T] = {}
    for path, result in zip(files, read, strict=True):
        if isinstance(result, Unreadable):
            skipped[path.relative_to(folder).as_posix()] = result.why
        else:
            kept[path] = result
    return kept
