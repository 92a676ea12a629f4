"""A user's own images, wherever they come from: read once into the cache, opened from there."""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from isavae.data.cache import Factors, cached
from isavae.data.conversion import Collection, as_images
from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.own.arrays import AXES, read_array
from isavae.data.own.decoding import DEFAULT_FIT
from isavae.data.own.factor_table import read_factors
from isavae.data.own.find_preprocessing import find_preprocessing
from isavae.data.own.folder import BLOCK, list_left_out, read_folder
from isavae.data.own.image_file import is_image_file
from isavae.data.own.image_listing import describe_others, fingerprint, image_files, image_names
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.own.stream import ImageStream
from isavae.data.own.value_range import FULL_RANGE, ValueRange, parse_range
from isavae.data.places import cache_file, check_space
from isavae.data.read_progress import progress
from isavae.data.tiles import to_bytes
from isavae.errors import counted

# What is called with the number and the shape of images before they are read; may refuse them.
Check: TypeAlias = Callable[[int, tuple[int, int, int]], None]


def unchecked(count: int, shape: tuple[int, int, int]) -> None:
    """The `Check` that refuses nothing."""


# Changes whenever the same files are to be read into other pixels.
VERSION = 5


def open_path(
    path: Path,
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    channels: int | None = None,
    axes: str = "",
    factors: Path | None = None,
    factors_by_order: bool = False,
    unknown: int | float | str | None = None,
    range: str = "auto",
    pages: int | str = 1,
    key: str = "",
    show: tuple[int, ...] = (),
    like: Preprocessing | None = None,
    check: Check = unchecked,
) -> ImageDataset:
    """Open a folder of images, an image or an array file; what was read is kept in the cache.

    Args:
        path: The folder or file.
        size: Height and width to bring images to.
        fit: What to do with other proportions: `crop`, `pad` or `stretch`.
        channels: 1 for grey, 3 for colour, or the number that image files must have; by default
            recognised.
        axes: Axes of an array: `hw`, `hwc` or `chw`; by default recognised.
        factors: A table of the factors; by default `factors.csv` in the folder, if there.
        factors_by_order: Whether a table without names has one row per image, in their order.
        unknown: A value in the table that means unknown, besides empty entries.
        range: The values that become black and white: `a..b`, `dtype` or `auto` (see
            `parse_range` and `natural_range`).
        pages: The page or frame that is read of an image file: a number from 1, `all`, or
            `channels` for all of them as the channels of one image.
        key: The name of the array in an .npz or .h5 file.
        show: The channels that are shown as red, green and blue, or the one that is shown as grey.
        like: How a model's training images were read, instead of options.
        check: Called with the number and the shape of the images before any is read into the cache,
            and of those that were read.

    Raises:
        ValueError: If the images or factors cannot be read, a rule is missing, or the cache has no
            space for them.
    """
    if axes not in ("", *AXES):
        raise ValueError(f"The option axes must be one of {', '.join(AXES)}, but is {axes!r}.")
    Preprocessing(size or (1, 1), fit, 1 if channels is None else channels, pages=pages)
    values = parse_range(range)
    if factors is None and (path / "factors.csv").is_file():
        factors = path / "factors.csv"
    folder, files, others = _image_files(path)
    if not files:
        _check_array_options(path, channels=channels, pages=pages)
    if unknown is not None and factors is None:
        raise ValueError(
            f"The option unknown is for a table of factors, but {path} has none: give "
            "factors=TABLE."
        )
    options = [VERSION, str(path.resolve()), size, fit, channels, axes, str(factors or "")]
    options += [factors_by_order, unknown, range, pages, key, others, like and like.to_dict()]
    options += [fingerprint(folder, files or [str(path)])]
    options += [fingerprint(factors.parent, [str(factors)]) if factors else ""]
    digest = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]
    facts: dict[str, Any] = {}

    def make() -> tuple[tuple[int, int, int], Iterator[np.ndarray], Factors]:
        if files:
            how = like or find_preprocessing(files, size, fit, channels, values, pages)
            found, used = read_folder(folder, how, files), replace(how, fit=how.fit or DEFAULT_FIT)
        else:
            found, used = _read_array_file(path, axes, key, values, size, fit, like)
        if used is not None:
            facts["preprocessing"] = used.to_dict()
        check(found.count, found.shape)
        grid = None if factors is None else _factors(factors, found, factors_by_order, unknown)
        blocks = progress(
            _noted(found, others, facts), found.count, f"reading {path.name}", len, "images"
        )
        return found.shape, blocks, grid

    # A file name may be as long as its system allows, and hold bytes that are no text.
    name = image_names(path.parent, [str(path)])[0]
    short = re.sub(r"[^\w.-]", "_", name)[:50]
    found = cached(cache_file(f"own-{short}-{digest}"), f"{name}/{digest}", make, facts)
    check(len(found), found.shape)
    return _showing(found, show) if show else found


def _read_array_file(
    path: Path,
    axes: str,
    key: str,
    values: ValueRange | None,
    size: tuple[int, int] | None,
    fit: str | None,
    like: Preprocessing | None,
) -> tuple[ImageStream, Preprocessing | None]:
    """The images of an array file, and how they were read; None if they are stored so."""
    wanted, way = (like.size, like.fit or DEFAULT_FIT) if like else (size, fit)
    limits = like.values if like else values
    found, used = read_array(path, axes, key, limits, values is None, wanted, way)
    if used == FULL_RANGE and not wanted:
        return found, None
    n_channels, *edges = found.shape
    return found, Preprocessing((edges[0], edges[1]), way or DEFAULT_FIT, n_channels, used)


def _showing(data: ImageDataset, show: tuple[int, ...]) -> ImageDataset:
    """The images with the channels that are shown."""
    n_channels, height, width = data.shape
    how = data.preprocessing or Preprocessing((height, width), channels=n_channels)
    return data.with_changes(preprocessing=replace(how, show=show))


def open_array(images: Collection, name: str = "images", **how: Any) -> ImageDataset:
    """The images of an array in memory, read by the rules of an array file.

    Args:
        images: The images, as for `as_images`.
        name: Their name.
        **how: The arguments of `read_array`.

    Raises:
        ValueError: If the array holds no images.
    """
    stream, used = read_array(as_images(images), **how)
    n_channels, height, width = stream.shape
    preprocessing = Preprocessing((height, width), how.get("fit") or DEFAULT_FIT, n_channels, used)
    stored = np.concatenate([*stream.blocks])
    notes = tuple(stream.changes())
    return ImageDataset.from_stored(
        name, stored, stream.shape, preprocessing=preprocessing, notes=notes
    )


def images_like(images: Collection | ImageDataset, how: Preprocessing) -> ImageDataset:
    """Images in memory, read and resized as a model's training images were.

    Args:
        images: The images.
        how: How the training images were read.
    """
    fit = how.fit or DEFAULT_FIT
    if not isinstance(images, ImageDataset):
        return open_array(images, values=how.values, size=how.size, fit=fit)
    return resized(images, how.size, fit)


def resized(data: ImageDataset, size: tuple[int, int], fit: str) -> ImageDataset:
    """The images at another size, with a note about it.

    Args:
        data: The images.
        size: Height and width.
        fit: What to do with other proportions: `crop`, `pad` or `stretch`.
    """
    if size == data.shape[1:]:
        return data
    at_once = max(1, BLOCK // prod(data.shape))  # large images may not fit into memory together
    how: dict[str, Any] = {"axes": "chw", "values": FULL_RANGE, "may_be_binary": False}
    parts = [
        open_array(to_bytes(data.batch(slice(first, first + at_once))), size=size, fit=fit, **how)
        for first in range(0, len(data), at_once)
    ]
    used = data.preprocessing or parts[0].preprocessing
    assert used is not None  # arrays have one
    return ImageDataset.from_stored(
        data.name,
        np.concatenate([part.stored for part in parts]),
        parts[0].shape,
        data.grid,
        preprocessing=replace(used, size=size, fit=fit),
        notes=data.notes + parts[0].notes,
    )


def _image_files(path: Path) -> tuple[Path, list[str], list[str]]:
    """The folder of images, its image files, and a sentence about other files in it."""
    if path.is_dir():
        return path, image_files(path), describe_others(path, {"factors.csv"})
    return path.parent, [str(path)] if is_image_file(path) else [], []


def _check_array_options(path: Path, **options: Any) -> None:
    """Refuse options that only image files follow."""
    given = [name for name, value in options.items() if value not in (None, 1)]
    if given:
        raise ValueError(
            f"The option {given[0]} is for image files, but {path} is an array: omit it, or change "
            "the array."
        )


def _noted(
    found: ImageStream, others: Sequence[str], facts: dict[str, Any]
) -> Iterator[np.ndarray]:
    """The blocks of a stream; keeps what was changed, and warns of images that are left out."""
    for number, block in enumerate(found.blocks):
        if number == 0:
            check_space(found.count, block)
        yield block
    notes = [*found.changes(), *others]
    if found.left_out:
        n, verb = len(found.left_out), "is" if len(found.left_out) == 1 else "are"
        listed = list_left_out(found.left_out)
        notes.append(f"{n:,} of {counted(found.count, 'image')} {verb} left out: {listed}.")
        warnings.warn(notes[-1], stacklevel=2)
    facts["notes"] = notes


def _factors(
    table: Path, found: ImageStream, by_order: bool, unknown: int | float | str | None
) -> Callable[[], FactorGrid]:
    """Read the factors of all images at once, and give those of the images that could be read."""
    grid = read_factors(table, found.count, found.names, by_order, unknown)
    return lambda: grid.take(found.positions()) if found.left_out else grid
