"""Arrays in MATLAB files, and in the plain binary matrices that smallNORB calls .mat."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np

from isavae.data.safe_reading import as_refused_file, bounded_gunzip, check, import_extra

# Bytes of a MAT 5 header; the type of a zlib element.
HEADER, COMPRESSED = 128, 15
# Bytes of a whole file, unpacked.
MOST = 24 << 20
NORB_TYPES = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}


def mat_array(data: bytes, name: str, path: Path) -> np.ndarray:
    """The array `name` of a MAT 5 file.

    Raises:
        RefusedFileError: If there is none, or if it claims to be large.
    """
    matlab = import_extra("scipy.io")
    plain = io.BytesIO(_inflated(data, path))
    shapes = {found: shape for found, shape, _ in matlab.whosmat(plain)}
    check(name in shapes, path, f"an array {name!r}", sorted(shapes)[:9])
    check(np.prod(shapes[name], dtype=float) <= MOST, path, f"at most {MOST} numbers", shapes[name])
    plain.seek(0)
    return matlab.loadmat(plain, variable_names=[name])[name]


def _inflated(data: bytes, path: Path) -> bytes:
    """The same file without compression, so that nothing can unpack to more than `MOST` bytes."""
    little = data[126:128] == b"IM"
    parts, at = [data[:HEADER]], HEADER
    while at + 8 <= len(data):
        kind, size = struct.unpack("<II" if little else ">II", data[at : at + 8])
        end = at + 8 + size
        if kind != COMPRESSED:
            parts.append(data[at:end])
        else:
            unpacker = zlib.decompressobj()
            parts.append(unpacker.decompress(data[at + 8 : end], MOST + 1))
            check(unpacker.eof, path, f"elements of at most {MOST} bytes", "a larger or cut one")
        at = end
    check(sum(map(len, parts)) <= MOST, path, f"at most {MOST} bytes", "more")
    return b"".join(parts)


def norb_matrix(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """One smallNORB matrix: a magic number, how many dimensions, the dimensions, the data.

    Raises:
        RefusedFileError: If it is not of this shape.
    """
    with as_refused_file(path, "a smallNORB .mat or .mat.gz file"):
        header = 8 + 4 * max(3, len(shape))
        count = int(np.prod(shape))
        data = bounded_gunzip(path, header + 4 * count)
        magic, dimensions = struct.unpack("<ii", data[:8])
        check(magic in NORB_TYPES, path, "the number 0x1E3D4C54 or ...55 in front", hex(magic))
        check(dimensions == len(shape), path, f"{len(shape)} dimensions", dimensions)
        found = struct.unpack(f"<{dimensions}i", data[8 : 8 + 4 * dimensions])
        dtype = NORB_TYPES[magic]
        whole = len(data) == header + count * dtype.itemsize
        check(found == shape and whole, path, f"{shape} numbers", f"{found} in {len(data)} bytes")
        return np.frombuffer(data, dtype, count, header).reshape(shape)
