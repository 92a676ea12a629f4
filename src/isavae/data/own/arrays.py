"""A user's own images in one array: .npy, .npz or .h5."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from isavae.data.own.stream import ImageStream
from isavae.data.own.value_range import FULL_RANGE, ValueRange, describe_range, natural_range
from isavae.data.safe_reading import (
    RefusedFileError,
    as_refused_file,
    check,
    hdf5_array,
    hdf5_rows,
    import_extra,
    npy_header,
    npz_member,
    rows_of,
)

AXES = {"hw": (), "hwc": (0, 3, 1, 2), "chw": (0, 1, 2, 3)}
# Names of the array of images in a file with several.
NAMES = ("images", "imgs", "image", "x", "data", "arr_0")

Stored: TypeAlias = tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]
Opener: TypeAlias = Callable[[], AbstractContextManager[Stored]]


def read_array(
    path: Path,
    axes: str = "",
    key: str = "",
    values: ValueRange | None = None,
    may_be_binary: bool = True,
) -> tuple[ImageStream, ValueRange]:
    """The images of an array file, and the range of their values.

    Args:
        path: An .npy, .npz, .h5 or .hdf5 file with one array of images: (n, h, w), (n, h, w, c) or
            (n, c, h, w), of bool, integers or floats.
        axes: `hw`, `hwc` or `chw`; by default recognised by an axis of length 1, 3 or 4.
        key: The name of the array in an .npz or .h5 file with several.
        values: The values that become black and white; by default found from all of them (see
            `natural_range`).
        may_be_binary: Whether an array of 0 and 1 is black and white, whatever its type.

    Raises:
        ValueError: If there is no such array, or its axes are ambiguous.
    """
    suffix = path.suffix.lower()
    openers = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5}
    if suffix not in openers:
        raise ValueError(f"{path} must be a folder or an {', '.join(openers)} or image file.")
    opener: Opener = partial(openers[suffix], path, key)
    kind = f"an {suffix} file with one array of images"
    with as_refused_file(path, kind), opener() as (shape, dtype, rows):
        right = len(shape) in (3, 4) and min(shape) > 0
        check(right, path, "an array (n, h, w), (n, h, w, c) or (n, c, h, w)", shape)
        check(dtype.kind in "buif", path, "bool, integers or floats", dtype)
        order = AXES[axes or _axes(shape, path)]
        is_binary, found = _survey(rows, dtype, path, values, may_be_binary)
    values = values or found
    # An order of four axes permutes the shape; without one there is a single channel.
    one = tuple(shape[axis] for axis in order[1:]) if order else (1, *shape[1:])
    counts: list[int] = []
    blocks = _blocks(opener, order, None if is_binary else values, counts, path)
    stream = ImageStream(
        (one[0], one[1], one[2]),
        shape[0],
        blocks,
        changes=lambda: [] if is_binary else describe_range(values, sum(counts)),
    )
    return stream, values


def _survey(
    rows: Iterator[np.ndarray],
    dtype: np.dtype,
    path: Path,
    values: ValueRange | None,
    is_binary: bool,
) -> tuple[bool, ValueRange]:
    """Whether all values are 0 or 1, and the range of the values, from all that are needed."""
    if dtype.kind == "b":
        return True, FULL_RANGE
    low, high = np.inf, -np.inf
    for block in rows:
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        check(bool(np.isfinite([low, high]).all()), path, "finite numbers", "NaN or infinity")
        is_binary = is_binary and bool(((block == 0) | (block == 1)).all())
        if not is_binary and (dtype == np.uint8 or values is not None):
            break
    if is_binary or dtype == np.uint8:
        return is_binary, FULL_RANGE
    return False, ValueRange(deep=natural_range(low, high))


def _blocks(
    opener: Opener,
    order: tuple[int, ...],
    values: ValueRange | None,
    counts: list[int],
    path: Path,
) -> Iterator[np.ndarray]:
    """Images as they are stored, one bit a pixel without a range; counts those that are clipped."""
    with as_refused_file(path, "an array of images"), opener() as (_, _, rows):
        for block in rows:
            images = block.transpose(order) if order else block[:, None]
            if values is None:
                yield np.packbits(images.reshape(len(images), -1) != 0, axis=1)
                continue
            check(bool(np.isfinite(images).all()), path, "finite numbers", "NaN or infinity")
            counts.append(sum(values.clips(image) for image in images))
            yield values.to_bytes(images)


def _axes(shape: tuple[int, ...], path: Path) -> str:
    if len(shape) == 3:
        return "hw"
    first, last = shape[1] in (1, 3, 4), shape[3] in (1, 3, 4)
    check(
        first != last,
        path,
        "one axis of 1, 3 or 4 channels, or the option axes (hwc or chw)",
        shape,
    )
    return "chw" if first else "hwc"


@contextmanager
def _npy(path: Path, key: str) -> Iterator[Stored]:
    if key:
        raise ValueError(f"The option key is for .npz and .h5 files, but {path} is none: omit it.")
    with path.open("rb") as file:
        shape, dtype = npy_header(file, path)
        yield shape, dtype, rows_of(file, shape, dtype, path)


@contextmanager
def _npz(path: Path, key: str) -> Iterator[Stored]:
    with npz_member(path, partial(_choose, key)) as (file, shape, dtype):
        yield shape, dtype, rows_of(file, shape, dtype, path)


@contextmanager
def _hdf5(path: Path, key: str) -> Iterator[Stored]:
    if not key:
        h5py = import_extra("h5py")
        with h5py.File(path, "r") as file:
            names = [n for n in file if isinstance(file.get(n, getlink=True), h5py.HardLink)]
            key = _choose("", [n for n in names if isinstance(file[n], h5py.Dataset)], path)
    with hdf5_array(path, key) as array:
        yield array.shape, array.dtype, hdf5_rows(array)


def _choose(key: str, names: list[str], path: Path) -> str:
    """The array of that name; without one the only array, or the one named as images are."""
    wanted = (key,) if key else NAMES
    known = [name for name in wanted if name in names]
    found = names if len(names) == 1 and not key else known[:1]
    must = f"an array {key!r}" if key else f"one array, or one named {' or '.join(NAMES)}"
    if not found:
        raise RefusedFileError(f"{path} must have {must}, but has {names[:9]}: give key=NAME.")
    return found[0]
