"""A folder of image files: which there are, how they are read, and which are left out."""

import hashlib
import json
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from isavae.data.own.changes import Changes
from isavae.data.own.decoding import (
    AS_CHANNELS,
    DecodedImage,
    ImageSizeError,
    decode,
    read_channels,
    split_alpha,
)
from isavae.data.own.image_file import (
    SUFFIXES,
    UnreadableImageError,
    check_pixels,
    count_channels,
    count_pages,
    deep_values,
    open_image,
    orientation,
)
from isavae.data.own.preprocessing import ALL, Preprocessing
from isavae.data.own.stream import ImageStream
from isavae.data.own.value_range import FULL_RANGE, ValueRange, natural_range

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
    images, others = walk(folder)
    if not images:
        only = f", only {_list_some(others)}" if others else ""
        raise ValueError(
            f"{folder} must hold images ({', '.join(SUFFIXES)}), but holds none{only}."
        )
    return images


def walk(folder: Path) -> tuple[list[str], list[str]]:
    """Files below a folder with the suffix of an image, and the names of all others.

    Links to folders are followed; a folder that several paths lead to is read once. What is hidden
    by a dot before its name is among the others, a folder as one.

    Raises:
        ValueError: If there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"There must be a folder of images at {folder}, but there is none.")
    images: list[str] = []  # strings: a hundred thousand `Path`s take seconds to sort
    others: list[str] = []
    seen: set[tuple[int, int]] = set()
    folders, links = [os.fspath(folder)], []
    while folders or links:
        here = folders.pop() if folders else links.pop()
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    others.append(entry.path)
                elif _is_folder(entry):
                    (links if entry.is_symlink() else folders).append(entry.path)
                else:
                    is_image = entry.name.lower().endswith(SUFFIXES)
                    (images if is_image else others).append(entry.path)
    return sorted(images), image_names(folder, sorted(others))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle: left out when it is read
        return False


def image_names(folder: Path, files: Sequence[str]) -> list[str]:
    r"""Paths of files below a folder, with `/` on every platform; bytes beyond UTF-8 as `\xff`."""
    within = len(os.path.join(folder, ""))
    names = [path[within:].replace(os.sep, "/") for path in files]
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


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
    """Width and height of every image upright, from its header; 0 x 0 where it cannot be read."""

    def size(path: str) -> tuple[int, int]:
        try:
            with open_image(path) as image:
                across, down = image.size
                return (down, across) if orientation(image) > 4 else (across, down)
        except Exception:  # a damaged file makes Pillow raise some dozen kinds
            return 0, 0

    return list(_in_threads(size, files))


def find_preprocessing(
    files: Sequence[str],
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    channels: int | None = None,
    values: ValueRange | None = None,
    pages: int | str = 1,
) -> Preprocessing:
    """What is given, and the rest from the images.

    Args:
        files: Paths of image files.
        size: Height and width; by default those of the first image that can be read.
        fit: How to resize images of another size; may be missing if `size` is.
        channels: By default that of most images of a sample; of grey and colour images 1 if all
            are grey, else 3.
        values: The values that become black and white; by default found from all images with more
            than 8 bits per channel (see `natural_range`).
        pages: The page that is read of a file, `all`, or `channels`.

    Raises:
        ValueError: If there is a size, but no fit.
    """
    if size is not None and fit is None:
        raise ValueError(
            f"`fit` must say how to bring images to {size[0]} x {size[1]}: crop, pad, stretch."
        )
    if values is None:
        values = _find_values(files, pages)
    some = files[:: -(-len(files) // SAMPLE)]
    if channels is None:
        kinds = Counter(n for n in _in_threads(lambda path: _count(path, pages), some) if n >= 0)
        channels = kinds.most_common(1)[0][0] if kinds else 0
    wanted = channels or 3
    if size is None:
        tried = (_try(path, values, wanted, pages) for path in files)
        size = next((image.shape[1:] for image in tried if image is not None), (1, 1))
    if channels == 0:
        sample = _in_threads(lambda path: _try(path, values, wanted, pages, size), some)
        channels = 3 if any(image is not None and _is_coloured(image) for image in sample) else 1
    return Preprocessing(size, fit, channels, values, pages)


def _count(path: str, pages: int | str) -> int:
    """The channels of an image, 0 if it is grey or in colour, -1 if it cannot be read."""
    try:
        if pages == AS_CHANNELS:
            return read_channels(path, pages).shape[2]
        with open_image(path, pages if isinstance(pages, int) else 1) as image:
            return count_channels(image)
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return -1


def _find_values(files: Sequence[str], pages: int | str) -> ValueRange:
    """The range of all images with more than 8 bits per channel."""
    found = [
        limits
        for each in _in_threads(lambda path: _limits(path, pages), files)
        if each
        for limits in each
    ]
    if not found:
        return FULL_RANGE
    lows, highs = zip(*found, strict=True)
    return ValueRange(deep=natural_range(min(lows), max(highs)))


def _limits(path: str, pages: int | str) -> list[tuple[float, float]]:
    """The smallest and largest value of each page with more than 8 bits per channel."""
    found = []
    try:
        for page in _pages(path, pages):
            with open_image(path, page) as image:
                check_pixels(image)
                deep = deep_values(image, path, page)
                is_picture = count_channels(image) == 0
            if deep is not None and deep.dtype != np.uint8:
                colours = split_alpha(deep)[0] if is_picture else deep
                found.append((float(colours.min()), float(colours.max())))
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return found
    return found


def _pages(path: str, pages: int | str) -> Sequence[int]:
    """The pages of a file that are read, from 1; the first where the file cannot be opened."""
    if isinstance(pages, int):
        return [pages]
    try:
        with open_image(path) as image:
            return range(1, count_pages(image) + 1)
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return [1]


def _try(
    path: str,
    values: ValueRange,
    channels: int,
    pages: int | str,
    size: tuple[int, int] | None = None,
) -> np.ndarray | None:
    """An image, or None if it cannot be read."""
    try:
        return decode(path, size, "crop", channels, values, 1 if pages == ALL else pages).pixels
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
    pages = preprocessing.pages
    numbered: list[Sequence[int | str]] = (
        [[AS_CHANNELS]] * len(files)
        if pages == AS_CHANNELS
        else list(_in_threads(lambda path: _pages(path, pages), files))
    )
    images = [
        NamedPage(name if len(pages) == 1 else f"{name}#{page}", path, page)
        for name, path, pages in zip(names, files, numbered, strict=True)
        for page in pages
    ]
    names, left_out, changes = [image.name for image in images], {}, Changes(preprocessing)
    blocks = _blocks(images, preprocessing, left_out, changes)
    return ImageStream(preprocessing.shape, len(images), blocks, names, left_out, changes.sentences)


class NamedPage(NamedTuple):
    """An image to read: a page of a file, or all of them as its channels."""

    name: str
    path: str
    page: int | str


def _blocks(
    images: Sequence[NamedPage],
    preprocessing: Preprocessing,
    left_out: dict[str, str],
    changes: Changes,
) -> Iterator[np.ndarray]:
    at_once = max(1, BLOCK // math.prod(preprocessing.shape))

    def read(first: int) -> tuple[list[DecodedImage], dict[str, str]]:
        decoded: list[DecodedImage] = []
        unreadable: dict[str, str] = {}
        for name, path, page in images[first : first + at_once]:
            try:
                decoded.append(preprocessing.decode(path, page))
            except UnreadableImageError as error:
                unreadable[name] = str(error)
            except ImageSizeError as error:
                raise ImageSizeError(
                    f"All images must have one size, but {name} is {error}: give a size and a fit."
                ) from None
        return decoded, unreadable

    for decoded, unreadable in _in_threads(read, range(0, len(images), at_once)):
        left_out |= unreadable
        for image in decoded:
            changes.add(image)
        if decoded:
            yield np.stack([image.pixels for image in decoded])
    if len(left_out) == len(images):
        raise ValueError(f"An image must be readable, but {list_left_out(left_out)}.")


def list_left_out(left_out: Mapping[str, str]) -> str:
    """The first five images that are left out, each with its reason."""
    some = [f"{name} ({why})" for name, why in [*left_out.items()][:5]]
    return "; ".join([*some, "..."] if len(left_out) > 5 else some)


def describe_others(folder: Path, read: Collection[str] = ()) -> list[str]:
    """A sentence about what is in a folder besides images, if there is anything.

    Args:
        folder: The folder.
        read: Names of files that are read nevertheless.
    """
    others = [name for name in walk(folder)[1] if name not in read]
    reason = "not read, as hidden or without the suffix of an image"
    return [f"{_list_some(others)}: {reason}."] if others else []


def _list_some(names: Sequence[str]) -> str:
    """The number of files, and the names of the first five."""
    listed = ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])
    return f"{len(names):,} other file{'s' if len(names) > 1 else ''}: {listed}"


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
