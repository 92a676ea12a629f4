"""A folder of image files: which there are, how they are read, and which are left out."""

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from isavae.data.own.decoding import FORMATS, ImageSizeError, UnreadableImageError, decode
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.own.stream import ImageStream
from isavae.data.safe_reading import import_extra

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
# Bytes of pixels that one task decodes, and tasks per thread that may be ahead of the consumer.
BLOCK, AHEAD = 1 << 20, 4
# A folder is grey if in none of up to 64 images, evenly spaced, the channels of a pixel differ by
# more than 8 of 255: JPEG gives grey images a little colour.
SAMPLE, GREY = 64, 8

T = TypeVar("T")
R = TypeVar("R")


def image_files(folder: Path) -> list[str]:
    """The image files below a folder, by name; hidden files and folders are left out.

    Raises:
        ValueError: If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ValueError(f"There must be a folder of images at {folder}, but there is none.")
    found: list[str] = []  # strings: a hundred thousand `Path`s take seconds to sort
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.lower().endswith(SUFFIXES):
                    found.append(entry.path)
    if not found:
        raise ValueError(f"{folder} must hold images ({', '.join(SUFFIXES)}), but holds none.")
    return sorted(found)


def image_names(folder: Path, files: Sequence[str]) -> list[str]:
    """Paths of files below a folder, with `/` on every platform."""
    within = len(os.path.join(folder, ""))
    return [path[within:].replace(os.sep, "/") for path in files]


def fingerprint(folder: Path, files: Sequence[str]) -> str:
    """Changes with the name, size or time of change of any of the files."""
    stamps = [*zip(image_names(folder, files), map(_stamp, files), strict=True)]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:  # a link that leads nowhere: it is left out when it is read
        return 0, 0
    return status.st_size, status.st_mtime_ns


def image_sizes(files: Sequence[str]) -> list[tuple[int, int]]:
    """Width and height of every file, from its header; 0 x 0 where it cannot be read."""
    pil = import_extra("PIL.Image")

    def size(path: str) -> tuple[int, int]:
        try:
            with pil.open(path, "r", FORMATS) as image:
                return image.size
        except Exception:  # a damaged file makes Pillow raise some dozen kinds
            return 0, 0

    return list(_in_threads(size, files))


def find_preprocessing(
    files: Sequence[str],
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    channels: int | None = None,
) -> Preprocessing:
    """What is given, and the rest from the images.

    Args:
        files: Paths of image files.
        size: Height and width; by default those of the first image that can be read.
        fit: How to resize images of another size; may be missing if `size` is.
        channels: By default 1 if the images of a sample are grey, else 3.

    Raises:
        ValueError: If there is a size, but no fit.
    """
    if size is not None and fit is None:
        raise ValueError(
            f"`fit` must say how to bring images to {size[0]} x {size[1]}: crop, pad, stretch."
        )
    if size is None:
        first = next((image for path in files if (image := _try(path)) is not None), None)
        size = (1, 1) if first is None else first.shape[1:]
    if channels is None:
        sample = _in_threads(lambda path: _try(path, size), files[:: -(-len(files) // SAMPLE)])
        channels = 3 if any(image is not None and _is_coloured(image) for image in sample) else 1
    return Preprocessing(size, fit, channels)


def _try(path: str, size: tuple[int, int] | None = None) -> np.ndarray | None:
    """An image in colour, or None if it cannot be read."""
    try:
        return decode(path, size, "crop", 3)
    except UnreadableImageError:  # reading all files will name it
        return None


def _is_coloured(image: np.ndarray) -> bool:
    return bool((image.max(0) - image.min(0)).max() > GREY)


def read_folder(
    folder: Path, preprocessing: Preprocessing, files: Sequence[str] | None = None
) -> ImageStream:
    """The images below a folder, decoded by a thread per core while they are taken.

    Args:
        folder: The folder.
        preprocessing: What becomes of every image.
        files: The `image_files` of the folder, where they are known.

    Raises:
        ValueError: If there is no image, or (while blocks are taken) none can be read, or one has
            another size and the preprocessing has no `fit`.
    """
    files = image_files(folder) if files is None else files
    names = image_names(folder, files)
    left_out: dict[str, str] = {}
    blocks = _blocks(files, names, preprocessing, left_out)
    return ImageStream(preprocessing.shape, len(files), blocks, names, left_out)


def _blocks(
    files: Sequence[str],
    names: Sequence[str],
    preprocessing: Preprocessing,
    left_out: dict[str, str],
) -> Iterator[np.ndarray]:
    at_once = max(1, BLOCK // math.prod(preprocessing.shape))

    def read(first: int) -> tuple[np.ndarray, dict[str, str]]:
        pixels = np.empty((min(at_once, len(files) - first), *preprocessing.shape), np.uint8)
        unreadable: dict[str, str] = {}
        for k in range(first, first + len(pixels)):
            try:
                pixels[k - first - len(unreadable)] = preprocessing.read(files[k])
            except UnreadableImageError as error:
                unreadable[names[k]] = str(error)
            except ImageSizeError as error:
                raise ImageSizeError(
                    f"All images must have one size, but {names[k]} is {error}: "
                    "give a size and a fit."
                ) from None
        return pixels[: len(pixels) - len(unreadable)], unreadable

    for pixels, unreadable in _in_threads(read, range(0, len(files), at_once)):
        left_out |= unreadable
        yield pixels
    if len(left_out) == len(files):
        raise ValueError(f"An image must be readable, but {list_left_out(left_out)}.")


def list_left_out(left_out: Mapping[str, str]) -> str:
    """The first five images that are left out, each with its reason."""
    some = [f"{name} ({why})" for name, why in [*left_out.items()][:5]]
    return "; ".join([*some, "..."] if len(left_out) > 5 else some)


def _in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Results in order, by a thread per core, few of them ahead of those that are taken."""
    threads = os.cpu_count() or 1
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
