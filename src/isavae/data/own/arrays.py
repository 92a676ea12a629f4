"""A user's own images in one array: .npy, .npz or .h5."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from isavae.data.own.stream import ImageStream
from isavae.data.safe_reading import (
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


def read_array(path: Path, axes: str = "") -> ImageStream:
    """The images of an array file.

    Args:
        path: An .npy, .npz, .h5 or .hdf5 file with one array of images: (n, h, w), (n, h, w, c) or
            (n, c, h, w), bool, uint8 or floats in [0, 1].
        axes: `hw`, `hwc` or `chw`; by default recognised by an axis of length 1, 3 or 4.

    Raises:
        ValueError: If there is no such array, or its axes are ambiguous.
    """
    suffix = path.suffix.lower()
    openers = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5}
    if suffix not in openers:
        raise ValueError(f"{path} must be a folder or an {', '.join(openers)} file.")
    with as_refused_file(path, f"an {suffix} file with one array of images"):
        with ExitStack() as stack:
            shape, dtype, rows = openers[suffix](path, stack)
            sample = next(iter(rows))
        right = len(shape) in (3, 4) and min(shape) > 0
        check(right, path, "an array (n, h, w), (n, h, w, c) or (n, c, h, w)", shape)
        check(dtype.kind in "bf" or dtype == np.uint8, path, "bool, uint8 or floats", dtype)
        order = AXES[axes or _axes(shape, path)]
        binary = bool(((sample == 0) | (sample == 1)).all())
        first = _pixels(sample[:1], order, binary, path)[1]
        return ImageStream(first, shape[0], _blocks(path, openers[suffix], order, binary))


def _blocks(path: Path, opener: Any, axes: tuple[int, ...], binary: bool) -> Iterator[np.ndarray]:
    with as_refused_file(path, "an array of images"), ExitStack() as stack:
        for rows in opener(path, stack)[2]:
            yield _pixels(rows, axes, binary, path)[0]


def _pixels(
    rows: np.ndarray, axes: tuple[int, ...], binary: bool, path: Path
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Rows as they are stored, and the shape of one image."""
    images = rows.transpose(axes) if axes else rows[:, None]
    shape = images.shape[1:]
    if binary:
        right = bool(((images == 0) | (images == 1)).all())
        check(right, path, "only 0 and 1 in all images, or not in the first ones", "both")
        return np.packbits(images.reshape(len(images), -1) != 0, axis=1), shape
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        check(low >= 0 and high <= 1, path, "floats in [0, 1]", f"{low} to {high}")
        images = np.rint(images * 255).astype(np.uint8)
    return images, shape


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


def _npy(path: Path, stack: ExitStack) -> tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]:
    file = stack.enter_context(path.open("rb"))
    shape, dtype = npy_header(file, path)
    return shape, dtype, rows_of(file, shape, dtype, path)


def _npz(path: Path, stack: ExitStack) -> tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]:
    file, shape, dtype = stack.enter_context(npz_member(path, _choose))
    return shape, dtype, rows_of(file, shape, dtype, path)


def _hdf5(path: Path, stack: ExitStack) -> tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]:
    h5py = import_extra("h5py")
    with h5py.File(path, "r") as file:
        names = [n for n in file if isinstance(file.get(n, getlink=True), h5py.HardLink)]
        name = _choose([n for n in names if isinstance(file[n], h5py.Dataset)], path)
    array = stack.enter_context(hdf5_array(path, name))
    return array.shape, array.dtype, hdf5_rows(array)


def _choose(names: list[str], path: Path) -> str:
    """The name of the only array, or of the one that is named as images are."""
    known = [name for name in NAMES if name in names]
    found = names if len(names) == 1 else known[:1]
    check(bool(found), path, f"one array, or one named {' or '.join(NAMES)}", names[:9])
    return found[0]
