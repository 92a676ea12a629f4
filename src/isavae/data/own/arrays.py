"""A user's own images in one array: .npy, .npz or .h5."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import TypeAlias

import numpy as np

from isavae.data.own.changes import ROUNDED
from isavae.data.own.decoding import ImageSizeError, resize, share_cut
from isavae.data.own.preprocessing import Preprocessing, lacking_fit
from isavae.data.own.stream import ImageStream
from isavae.data.own.value_range import FULL_RANGE, ValueRange, describe_range, natural_range
from isavae.data.read_progress import progress
from isavae.data.safe_reading import (
    BLOCK,
    NpyHeader,
    RefusedFileError,
    as_refused_file,
    check,
    hdf5_array,
    hdf5_names,
    hdf5_rows,
    npy_header,
    npz_member,
    rows_of,
)
from isavae.errors import in_line
from isavae.files import open_regular

AXES = {"hw": (), "hwc": (0, 3, 1, 2), "chw": (0, 1, 2, 3)}
# Zeros and ones that are black and white.
BINARY = ValueRange((0.0, 1.0), (0.0, 1.0))
# Lengths by which an axis of channels is recognised.
CHANNELS = (1, 3, 4)
# Names of the array of images in a file with several.
NAMES = ("images", "imgs", "image", "x", "data", "arr_0")
# What to do with files of other kinds, by the ends of their names.
OTHER_FILES = {
    (".safetensors",): "isavae.TrainedModel.load opens models",
    (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"): "unpack it, and give the folder",
    (".pt", ".pth", ".pkl", ".pickle", ".mat"): "save its array of images with numpy.save",
    (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg"): "save its frames as images in a folder",
    (".csv", ".tsv", ".parquet", ".xlsx"): "give images; factors=PATH names a table of factors",
}

Stored: TypeAlias = tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]
# Makes the shape of one image that of several.
Several: TypeAlias = Callable[[tuple[int, ...]], tuple[int, ...]]
Opener: TypeAlias = Callable[[], AbstractContextManager[Stored]]


def read_array(
    source: Path | np.ndarray,
    axes: str = "",
    key: str = "",
    values: ValueRange | None = None,
    may_be_binary: bool = True,
    size: tuple[int, int] | None = None,
    fit: str | None = None,
) -> tuple[ImageStream, ValueRange]:
    """The images of an array or an array file, and the range of their values.

    Args:
        source: One array of images, or an .npy, .npz, .h5 or .hdf5 file with one: (n, h, w),
            (n, h, w, c) or (n, c, h, w), of bool, integers or floats. One image is (h, w) or,
            where `axes` names its channels, (h, w, c) or (c, h, w).
        axes: `hw`, `hwc` or `chw`; by default recognised by an axis of length 1, 3 or 4. An array
            of two axes may be one image or a table: it must say so, or be of the size.
        key: The name of the array in an .npz or .h5 file with several.
        values: The values that become black and white; by default found from all of them (see
            `natural_range`).
        may_be_binary: Whether an array of 0 and 1 is black and white, whatever its type.
        size: Height and width to resize images to; by default their own.
        fit: What to do with other proportions: `crop`, `pad` or `stretch`; may be missing where
            `size` is, or is their own size.

    Raises:
        ValueError: If there is no such array, or its axes are ambiguous.
    """
    path = source if isinstance(source, Path) else Path("the array")
    left: list[str] = []  # names of arrays that are not read
    opener = _opener(source, key, partial(_of_several, path, axes, size), left)
    with as_refused_file(path, "a file with one array of images"), opener() as (shape, dtype, rows):
        right = len(shape) in (3, 4) and min(shape) > 0
        must = "an array (n, h, w), (n, h, w, c) or (n, c, h, w)"
        check(right, path, must, shape, "reshape it" if min(shape, default=0) else "give images")
        do = "give its real part or its size" if dtype.kind == "c" else "convert it"
        check(dtype.kind in "buif", path, "bool, integers or floats", dtype, do)
        order = AXES["hw" if len(shape) == 3 else axes or _axes(shape, path)]
        if source is path:
            rows = progress(rows, shape[0], "looking at values", len, "images")
        is_binary, found = _survey(rows, dtype, path, values, may_be_binary)
    # An order of four axes permutes the shape; without one there is a single channel.
    n_channels, *edges = (shape[axis] for axis in order[1:]) if order else (1, *shape[1:])
    given = (edges[0], edges[1])
    if size is not None and size != given:
        if fit is None:
            raise ImageSizeError(lacking_fit(size))
        Preprocessing(size, fit)  # checks them
        used = BINARY if is_binary else values or found
        change = partial(resize, size=size, fit=fit)
        is_binary = False
    else:
        size, change, used = given, None, values or found
    counts: list[int] = []
    blocks = _blocks(opener, order, None if is_binary else used, counts, path, change)

    def changes() -> list[str]:
        said = [] if is_binary or used == BINARY else describe_range(used, sum(counts), [dtype])
        said += [] if change is None else describe_resizing(given, size, fit or "")
        return said + (
            [f"Other arrays of {path.name} are not read: {_some(left)}."] if left else []
        )

    stream = ImageStream((n_channels, *size), shape[0], blocks, changes=changes)
    return stream, values or found


def stored_shape(path: Path) -> tuple[int, ...]:
    """The shape of the array in a file.

    Raises:
        ValueError: If there is no such array.
    """
    with (
        as_refused_file(path, "a file with one array of images"),
        _opener(path, "", lambda shape: shape, [])() as (shape, _, _),
    ):
        return shape


def describe_resizing(given: tuple[int, int], size: tuple[int, int], fit: str) -> list[str]:
    """What resizing does to all images of one size."""
    said = "Images of {} x {} become {} x {} (height x width), by fit={}.".format(
        *given, *size, fit
    )
    cut = share_cut(given, size) if fit == "crop" else 0.0
    if cut <= ROUNDED:
        return [said]
    return [said, f"Cropping cuts off {cut:.0%} of the images: fit=pad or fit=stretch keeps all."]


def _some(names: list[str]) -> str:
    return ", ".join([*map(in_line, names[:5]), *(["..."] if len(names) > 5 else [])])


def _opener(source: Path | np.ndarray, key: str, several: Several, left: list[str]) -> Opener:
    if isinstance(source, np.ndarray):
        return partial(_in_memory, source, several)
    openers = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5}
    if source.suffix.lower() not in openers:
        do = next(
            (do for ends, do in OTHER_FILES.items() if source.name.lower().endswith(ends)), ""
        )
        raise ValueError(
            f"{source} must be a folder or an {', '.join(openers)} or image file: "
            f"{do or 'convert it to one of these'}."
        )
    if not source.is_file():  # a pipe would be waited for
        raise ValueError(f"{source} must be a regular file, but is none: save the array in one.")
    return partial(openers[source.suffix.lower()], source, key, several, left)


def _of_several(
    path: Path, axes: str, size: tuple[int, int] | None, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """The shape of an array of images; of one image as that of several.

    Raises:
        RefusedFileError: If it may be one image or another number of them, and `axes` does not say.
    """
    must = todo = ""
    if axes and len(axes) not in (len(shape), len(shape) - 1):
        must, todo = f"the axes {axes}, perhaps after one of images", "give its own axes"
    elif not axes and len(shape) == 2 and shape != size:
        must = "an axis of images"
        todo = "give axes=hw if it is one image, or reshape a table of them to (n, h, w)"
    elif not axes and len(shape) == 3 and shape[1] > 4 >= shape[2] > 2 and shape[1:] != size:
        must = "clear axes"
        todo = "give axes=hwc if it is one image, or reshape it to (n, h, w, c)"
    if must:
        raise RefusedFileError(f"{path} must have {must}, but has shape {shape}: {todo}.")
    return (1, *shape) if len(shape) == len(axes or "hw") else shape


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
        finite = bool(np.isfinite([low, high]).all())
        do = "replace such values, or leave out their images"
        check(finite, path, "finite numbers", "NaN or infinity", do)
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
    change: Callable[[np.ndarray], np.ndarray] | None,
) -> Iterator[np.ndarray]:
    """Images as they are stored, one bit a pixel without a range; counts those that are clipped.

    Args:
        opener: Opens the array.
        order: The order of its axes.
        values: The range.
        counts: Where the numbers of clipped images go.
        path: The path, for messages.
        change: Resizes the pixels of an image.
    """
    with as_refused_file(path, "an array of images"), opener() as (_, _, rows):
        for block in rows:
            images = block.transpose(order) if order else block[:, None]
            if values is None:
                yield np.packbits(images.reshape(len(images), -1) != 0, axis=1)
                continue
            check(bool(np.isfinite(images).all()), path, "finite numbers", "NaN or infinity")
            counts.append(sum(values.clips(image) for image in images))
            pixels = values.to_bytes(images)
            yield pixels if change is None else np.stack([change(image) for image in pixels])


def _axes(shape: tuple[int, ...], path: Path) -> str:
    if len(shape) == 3:
        return "hw"
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    check(
        first != last,
        path,
        "one axis of 1, 3 or 4 channels, or the option axes (hwc or chw)",
        shape,
    )
    return "chw" if first else "hwc"


@contextmanager
def _in_memory(array: np.ndarray, several: Several) -> Iterator[Stored]:
    array = array.reshape(several(array.shape))
    at_once = max(1, BLOCK // max(1, array[:1].nbytes))
    starts = range(0, len(array), at_once)
    yield array.shape, array.dtype, (array[first : first + at_once] for first in starts)


@contextmanager
def _npy(path: Path, key: str, several: Several, left: list[str]) -> Iterator[Stored]:
    if key:
        raise ValueError(f"The option key is for .npz and .h5 files, but {path} is none: omit it.")
    with open_regular(path) as file:
        yield _stored(file, npy_header(file, path), path, several)


@contextmanager
def _npz(path: Path, key: str, several: Several, left: list[str]) -> Iterator[Stored]:
    with npz_member(path, partial(_choose, key, left=left)) as (file, header):
        yield _stored(file, header, path, several)


def _stored(file: BufferedIOBase, header: NpyHeader, path: Path, several: Several) -> Stored:
    header = header._replace(shape=several(header.shape))
    return header.shape, header.dtype, rows_of(file, header, path)


@contextmanager
def _hdf5(path: Path, key: str, several: Several, left: list[str]) -> Iterator[Stored]:
    names = hdf5_names(path)
    if not key:
        key = _choose("", [name for name in names if "/" not in name] or names, path, [])
    left[:] = [name for name in names if name != key.strip("/")]
    with hdf5_array(path, key) as array:
        shape = several(array.shape)
        rows = hdf5_rows(array)
        if shape == array.shape:
            yield shape, array.dtype, rows
        else:
            yield shape, array.dtype, (part.reshape(shape) for part in [np.concatenate([*rows])])


def _choose(key: str, names: list[str], path: Path, left: list[str]) -> str:
    """The array of that name; without one the only array, or the one named as images are.

    The names of all others go to `left`.
    """
    wanted = (key,) if key else NAMES
    known = [name for name in wanted if name in names]
    found = names if len(names) == 1 and not key else known[:1]
    must = f"an array {key!r}" if key else f"one array, or one named {' or '.join(NAMES)}"
    if not found:
        raise RefusedFileError(f"{path} must have {must}, but has {names[:9]}: give key=NAME.")
    left[:] = [name for name in names if name != found[0]]
    return found[0]
