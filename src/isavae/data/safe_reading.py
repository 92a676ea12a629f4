"""Safe reading of untrusted files: nothing is unpickled, and sizes are checked before use."""

import gzip
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from isavae.data.memory import memory_limit
from isavae.data.read_progress import progress
from isavae.errors import missing_package

# Bytes that are read at a time.
BLOCK = 1 << 24
# Bytes of the largest row, which is one image, of an array in a file.
MOST_ROW = 1 << 27
# Deflate packs no more bytes into one: what claims more is not there.
DENSEST = 1032
# Bytes of the header of an .npy file, as numpy's own bound.
MOST_HEADER = 10_000
# Names of arrays of an HDF5 file that are looked at.
MOST_NAMES = 1_000
# Groups and arrays of an HDF5 file, and levels of its groups.
MOST_OBJECTS, DEEPEST = 10_000, 32
# Bytes of a chunk of an HDF5 file, and those that one may unpack to without being tried first.
MOST_CHUNK, MOST_UNPACKED = 1 << 28, 1 << 29
# Numbers of filters of HDF5; of those that pack, the most bytes that they pack into one. Others,
# and several of them, take any memory, as a file says.
DEFLATE, SHUFFLE, FLETCHER, LZF = 1, 2, 3, 32000
PACKING = {DEFLATE: DENSEST, LZF: 90}
# Of a member of a zip: signature, lengths of name and extra field.
LOCAL_HEADER = struct.Struct("<4s22xHH")


@contextmanager
def as_refused_file(path: Path, kind: str) -> Iterator[None]:
    """Turn any error of a parser into a `RefusedFileError`.

    Raises:
        RefusedFileError: If the block raises any error.
        ImportError: If a package is missing, which says nothing of the file.
    """
    try:
        yield
    except (RefusedFileError, ImportError):
        raise
    except Exception as error:  # zip, gzip, HDF5, mat and torch parsers raise some twenty kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RefusedFileError(
            f"{path} must be {kind}, but cannot be read ({reason}): get the file again."
        ) from error


class RefusedFileError(ValueError):
    """A file does not hold what it must hold."""


def check(
    condition: bool | np.bool_, path: Path, must: str, found: object, do: str = "use another file"
) -> None:
    """Check the content of a file.

    Args:
        condition: What must hold.
        path: The file.
        must: What it must have.
        found: What it has.
        do: What to do where the condition does not hold.

    Raises:
        RefusedFileError: If the condition does not hold.
    """
    if not condition:
        raise RefusedFileError(f"{path} must have {must}, but has {found}: {do}.")


def named(wanted: str) -> Callable[[list[str], Path], str]:
    """A function that picks the array of that name.

    Raises:
        RefusedFileError: If there is none.
    """

    def choose(names: list[str], path: Path) -> str:
        check(wanted in names, path, f"an array {wanted!r}", names[:9])
        return wanted

    return choose


def check_size(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """Check the size that an array in a file claims, before it is read.

    Raises:
        RefusedFileError: If it is empty, a row is too large, or the file cannot hold all of it.
    """
    check(len(shape) > 0 and min(shape) > 0, path, "an array that is not empty", shape)
    row = math.prod(shape[1:]) * dtype.itemsize
    check(0 < row <= MOST_ROW, path, f"images of at most {MOST_ROW:,} bytes", f"{row:,} bytes")
    most, total = DENSEST * path.stat().st_size, shape[0] * row
    check(total <= most, path, f"at most {most:,} bytes of images in so small a file", f"{total:,}")


class NpyHeader(NamedTuple):
    """What an .npy file says of its array; in Fortran order the first axis varies fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool


@contextmanager
def npz_member(
    path: Path, choose: Callable[[list[str], Path], str]
) -> Iterator[tuple[BufferedIOBase, NpyHeader]]:
    """The array that `choose` picks of an .npz archive: its bytes, not read yet, and its header."""
    with zipfile.ZipFile(path) as archive, archive.open(_member(archive, path, choose)) as stream:
        file = cast(BufferedIOBase, stream)
        yield file, npy_header(file, path)


def npz_offset(
    path: Path, choose: Callable[[list[str], Path], str]
) -> tuple[int, tuple[int, ...], np.dtype] | None:
    """Where the data of an array begin in an .npz archive, its shape and type; None if packed.

    Raises:
        RefusedFileError: If the archive does not hold all of it there.
    """
    with zipfile.ZipFile(path) as archive:
        info = _member(archive, path, choose)
        with archive.open(info) as stream:
            shape, dtype, is_fortran = npy_header(cast(BufferedIOBase, stream), path)
            header = stream.tell()
    check(not is_fortran, path, "rows in C order", "Fortran order")
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    with path.open("rb") as file:
        file.seek(info.header_offset)
        signature, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        begin = file.seek(name + extra, os.SEEK_CUR)
        length, there = header + math.prod(shape) * dtype.itemsize, path.stat().st_size - begin
        whole = length == info.file_size <= there and signature == b"PK\3\4"
        check(whole, path, f"{length} bytes of {info.filename}", f"{info.file_size} or fewer")
        check(crc32_of(file, length) == info.CRC, path, f"an undamaged {info.filename}", "another")
    return begin + header, shape, dtype


def crc32_of(file: BinaryIO, length: int) -> int:
    """The CRC-32 of the next bytes of a file; of fewer where it ends."""
    crc = 0
    parts = (file.read(min(BLOCK, length - at)) for at in range(0, length, BLOCK))
    for part in progress(parts, length / 1e6, "checking", lambda part: len(part) / 1e6, "MB"):
        crc = zlib.crc32(part, crc)
    return crc


def _member(
    archive: zipfile.ZipFile, path: Path, choose: Callable[[list[str], Path], str]
) -> zipfile.ZipInfo:
    """The array that `choose` picks, packed in no way that unpacks to any size at once."""
    files = [name for name in archive.namelist() if name.endswith(".npy")]
    names = [name.removesuffix(".npy") for name in files]
    check(len({*names}) == len(names), path, "one array of a name", "several")
    info = archive.getinfo(f"{choose(names, path)}.npy")
    kinds, others = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), {12: "bzip2", 14: "lzma"}
    found = others.get(info.compress_type, f"method {info.compress_type}")
    do = "save it by numpy.savez_compressed"
    check(info.compress_type in kinds, path, "arrays packed by deflate, or not", found, do)
    return info


def npy_header(file: BufferedIOBase, path: Path) -> NpyHeader:
    """The header of an .npy file, read up to its data; never a pickle.

    Raises:
        RefusedFileError: If the data are Python objects, or the header is of another version or
            too long.
    """
    version = np.lib.format.read_magic(file)
    forms = {
        (1, 0): (2, np.lib.format.read_array_header_1_0),
        (2, 0): (4, np.lib.format.read_array_header_2_0),
    }
    check(version in forms, path, "an .npy header of version 1 or 2", version)
    n_bytes, read = forms[version]
    said = file.read(n_bytes)
    length = int.from_bytes(said, "little")
    check(length <= MOST_HEADER, path, f"a header of at most {MOST_HEADER:,} bytes", f"{length:,}")
    try:
        shape, fortran, dtype = read(BytesIO(said + file.read(length)))
    except Exception as error:  # numpy and ast raise some ten kinds
        raise RefusedFileError(
            f"{path} must begin with a header as numpy.save writes it, but has another: save the "
            "array anew."
        ) from error
    check(not dtype.hasobject, path, "plain numbers", "Python objects, which are never loaded")
    return NpyHeader(shape, dtype, fortran)


def rows_of(file: BufferedIOBase, header: NpyHeader, path: Path) -> Iterator[np.ndarray]:
    """Rows of an array in a stream, some at a time.

    In Fortran order no row lies in one place: an .npy file is mapped into memory, and what is
    packed is read whole.

    Raises:
        RefusedFileError: If the array claims what the file cannot hold, or more than the memory
            does where it must be read whole, or (while rows are taken) the stream ends early.
    """
    shape, dtype, is_fortran = header
    check_size(shape, dtype, path)
    if not is_fortran:
        return _rows_of(file, shape, dtype, path)
    size = math.prod(shape) * dtype.itemsize
    if isinstance(file, zipfile.ZipExtFile):
        most = memory_limit()
        if size > most:
            raise RefusedFileError(
                f"{path} must have at most {most:,} bytes in Fortran order, but has {size:,}: save "
                "it in C order, by `np.ascontiguousarray`."
            )
        data = read_exactly(file, size)
        check(len(data) == size, path, f"{shape[0]} images", "fewer")
        array = np.frombuffer(data, dtype).reshape(shape, order="F")
    else:
        array = np.memmap(file, dtype, "r", file.tell(), shape, order="F")
    at_once = max(1, BLOCK * shape[0] // size)
    starts = range(0, shape[0], at_once)
    return (np.ascontiguousarray(array[first : first + at_once]) for first in starts)


def _rows_of(
    file: BufferedIOBase, shape: tuple[int, ...], dtype: np.dtype, path: Path
) -> Iterator[np.ndarray]:
    row = math.prod(shape[1:]) * dtype.itemsize
    at_once = max(1, BLOCK // row)
    for first in range(0, shape[0], at_once):
        count = min(at_once, shape[0] - first)
        data = read_exactly(file, count * row)
        check(len(data) == count * row, path, f"{shape[0]} images", "fewer")
        yield np.frombuffer(data, dtype).reshape(count, *shape[1:])


def hdf5_names(path: Path) -> list[str]:
    """The arrays of an HDF5 file, in its groups too (`group/images`), but no more than a thousand.

    Those that links lead to, which may lie in other files, are left out.

    Raises:
        RefusedFileError: If its groups lie too deep, or there are too many.
    """
    h5py = import_extra("h5py")
    names: list[str] = []
    seen = 0

    def visit(group: Any, prefix: str, depth: int) -> None:
        nonlocal seen
        check(depth <= DEEPEST, path, f"groups at most {DEEPEST} deep", "deeper ones")
        for name in group:
            seen += 1
            check(seen <= MOST_OBJECTS, path, f"at most {MOST_OBJECTS:,} groups and arrays", "more")
            if len(names) == MOST_NAMES:
                return
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                found = group[name]
                if isinstance(found, h5py.Dataset):
                    names.append(f"{prefix}{name}")
                elif isinstance(found, h5py.Group):
                    visit(found, f"{prefix}{name}/", depth + 1)

    with h5py.File(path, "r") as file:
        visit(file, "", 0)
    return names


@contextmanager
def hdf5_array(path: Path, name: str, shape: tuple[int, ...] | None = None) -> Iterator:
    """Open the array `name` of an HDF5 file, for slicing.

    Raises:
        RefusedFileError: If it is not of that shape and of integers or floats, or lies in other
            files.
    """
    h5py = import_extra("h5py")
    with h5py.File(path, "r") as file:
        parts = name.strip("/").split("/")
        check(len(parts) <= DEEPEST + 1, path, f"groups at most {DEEPEST} deep", "deeper ones")
        links = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        is_here = all(isinstance(file.get(x, getlink=True), h5py.HardLink) for x in links)
        check(is_here, path, f"an array {name!r}", "none")
        array = file[name]
        check(isinstance(array, h5py.Dataset), path, f"an array {name!r}", type(array).__name__)
        check(array.shape is not None, path, f"values in {name!r}", "none")
        check(shape in (None, array.shape), path, f"{name!r} of shape {shape}", array.shape)
        check(array.dtype.kind in "buif", path, f"numbers in {name!r}", array.dtype)
        elsewhere = array.is_virtual or array.external
        check(not elsewhere, path, f"its own {name!r}", "a reference to other files")
        _check_chunks(array, path)
        yield array


def _check_chunks(array: Any, path: Path) -> None:
    """Check that no chunk of an HDF5 array unpacks to more than it may: HDF5 would unpack it all.

    Raises:
        RefusedFileError: If one does, or is packed in another way than by gzip or lzf, once.
    """
    if array.chunks is None:
        return
    size = math.prod(array.chunks) * array.dtype.itemsize
    check(size <= MOST_CHUNK, path, f"chunks of at most {MOST_CHUNK:,} bytes", f"{size:,}")
    made = array.id.get_create_plist()
    filters = [made.get_filter(k)[0] for k in range(made.get_nfilters())]
    packing = [PACKING[each] for each in filters if each in PACKING]
    is_known = {*filters} <= {SHUFFLE, FLETCHER, *PACKING} and len(packing) <= 1
    do = "pack it anew, by `h5repack -f GZIP=4`"
    check(is_known, path, "arrays packed once, by gzip or lzf", f"the filters {filters}", do)
    if not packing:
        return
    large: list[tuple[int, ...]] = []

    def note(chunk: Any) -> None:
        if packing[0] * chunk.size > MOST_UNPACKED:
            large.append(chunk.chunk_offset)

    array.id.chunk_iter(note)
    check(DEFLATE in filters or not large, path, "smaller chunks, packed by lzf", "large ones", do)
    for place in progress(large, len(large), "checking", lambda _: 1, "chunks"):
        skipped, data = array.id.read_direct_chunk(place)
        if not skipped >> filters.index(DEFLATE) & 1:  # what would not get shorter is not packed
            data = zlib.decompressobj().decompress(data, size + 5)
        # four more are a checksum
        check(len(data) <= size + 4, path, f"chunks of {size:,} bytes", "one that holds more")


def hdf5_rows(array) -> Iterator[np.ndarray]:
    """Rows of an HDF5 array, some at a time.

    Raises:
        RefusedFileError: If the array claims what the file cannot hold.
    """
    check_size(array.shape, array.dtype, Path(array.file.filename))
    at_once = max(1, BLOCK // (math.prod(array.shape[1:]) * array.dtype.itemsize))
    return (array[first : first + at_once] for first in range(0, array.shape[0], at_once))


def bounded_gunzip(path: Path, most: int) -> bytes:
    """The content of a .gz file of at most `most` bytes.

    Raises:
        RefusedFileError: If there are more.
    """
    with gzip.open(path, "rb") as file:
        data = read_exactly(file, most + 1)
    check(len(data) <= most, path, f"at most {most} bytes", "more")
    return data


def read_exactly(file: Any, count: int) -> bytes:
    """Up to `count` bytes; memory grows with the bytes present, not with those claimed."""
    data = BytesIO()
    while data.tell() < count and (part := file.read(min(1 << 20, count - data.tell()))):
        data.write(part)
    return data.getvalue()


def import_extra(module: str):
    """Import a package of the extra `data`.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(missing_package(module), name=error.name) from error
