"""Images on disk: one file per data set, packed, memory-mapped when opened, written atomically.

The file is MAGIC, the images, the factor classes of a partial grid, one line of JSON that describes
them, and that line's length. The line has a checksum of itself and one of what stands before it.
Images that lie uncompressed in a published file may stay there; then the JSON says where.
"""

import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from pydantic_core import from_json

from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.mapped_file import MappedImages
from isavae.data.memory import memory_limit
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.places import check_writable
from isavae.data.read_progress import progress
from isavae.data.safe_reading import crc32_of
from isavae.files import BLANK, CHECKSUM, atomic_write, is_sealed, sealed

Factors: TypeAlias = FactorGrid | Callable[[], FactorGrid] | None

MAGIC = b"isavae images 2\n"
# Bytes of the length of the JSON, at the end of the file.
LENGTH = 8
# Bytes of neighbouring images that are shuffled together if memory is short.
READ = 1 << 18


def write(
    path: Path,
    content: str,
    shape: tuple[int, int, int],
    blocks: Iterable[np.ndarray],
    grid: Factors = None,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a data set block by block; `path` appears only when all of it is on disk.

    Args:
        path: The file to write.
        content: `name/version` of what the file holds; `read` must ask for the same.
        shape: (channels, height, width).
        blocks: uint8 images as `ImageDataset.stored`, some at a time.
        grid: The factors of the images, or a function that returns them once all blocks are
            written.
        facts: How the images were read; complete once all blocks are written.

    Raises:
        ValueError: If there are no images, or the folder cannot be written.
    """
    check_writable(path.parent)
    with atomic_write(path) as file:
        file.write(MAGIC)
        crc, count, per_image = 0, 0, ()
        for block in map(np.ascontiguousarray, blocks):
            count, per_image = count + len(block), block.shape[1:]
            file.write(block.data)
            crc = zlib.crc32(block.data, crc)
        if count == 0:
            raise ValueError(f"A data set must have images, but {content} has none.")
        grid = grid() if callable(grid) else grid
        if grid is not None and grid.labels is not None:
            labels = np.ascontiguousarray(grid.labels, dtype="<i4")
            file.write(labels.data)
            crc = zlib.crc32(labels.data, crc)
        stored = (count, *per_image)
        file.write(_end(content, shape, stored, grid, crc, None, facts))


def write_reference(path: Path, content: str, mapped: MappedImages, grid: FactorGrid) -> None:
    """Write a file that refers to images in another file.

    Args:
        path: The file to write.
        content: As for `write`.
        mapped: The place of the images.
        grid: Their factors, complete.
    """
    check_writable(path.parent)
    count, height, width, channels = mapped.stored
    shape = (channels, height, width)
    crc = 0
    megabytes = math.prod(mapped.stored) / 1e6
    for block in progress(mapped.blocks(), megabytes, "checking", lambda b: len(b) / 1e6, "MB"):
        crc = zlib.crc32(block, crc)
    with atomic_write(path) as file:
        file.write(MAGIC + _end(content, shape, (count, *shape), grid, crc, mapped))


def _end(
    content: str,
    shape: tuple[int, int, int],
    stored: tuple[int, ...],
    grid: FactorGrid | None,
    crc: int,
    mapped: MappedImages | None,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """The line of JSON and its length."""
    description = {
        CHECKSUM: BLANK,
        "content": content,
        "shape": shape,
        "stored": stored,
        # kept, for a resumed run must meet the same batches whatever memory is free then
        "block": _block(stored),
        "grid": None if grid is None else _to_json(grid),
        "crc32": crc,
        "outside": None if mapped is None else asdict(mapped),
        "facts": {**facts},
    }
    line = sealed(json.dumps(description).encode())
    return line + len(line).to_bytes(LENGTH, "little")


def read(path: Path, content: str | None = None) -> ImageDataset | None:
    """Open a file that `write` made, memory-mapped.

    Args:
        path: The file.
        content: What it must hold; by default anything.

    Returns:
        The data set, or None where there is no such file, or it is damaged or holds other things.
    """
    about = _description(path)
    if about is None or content not in (None, about["content"]):
        return None
    stored = tuple(about["stored"])
    mapped = _mapped_images(about)
    if not (_is_intact(path, about) if mapped is None else mapped.is_there):
        return None
    # not copy-on-write, for which a file larger than all memory is too large
    images = (
        np.memmap(path, np.uint8, "r", offset=len(MAGIC), shape=stored)
        if mapped is None
        else mapped.images()
    )
    grid = about["grid"]
    if grid is not None:
        labels = None
        if grid.pop("partial"):
            at, factors = len(MAGIC) + math.prod(stored), len(grid["names"])
            labels = np.fromfile(path, "<i4", stored[0] * factors, offset=at).reshape(-1, factors)
        grid = FactorGrid(labels=labels, **grid)
    name = about["content"].split("/")[0]
    block = _block(stored) if os.environ.get("ISAVAE_MEMORY_LIMIT") else about["block"]
    facts = about["facts"]
    fields = facts.get("preprocessing")
    return ImageDataset.from_stored(
        name,
        images,
        tuple(about["shape"]),
        grid,
        shuffle_block=block,
        preprocessing=None if fields is None else Preprocessing.from_dict(fields),
        notes=tuple(facts.get("notes", ())),
        fingerprint=f"{about['crc32']:08x}",
    )


def cached(
    path: Path,
    content: str,
    make: Callable[[], tuple[tuple[int, int, int], Iterable[np.ndarray], Factors]],
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> ImageDataset:
    """Open a data set from its file, which is written first if it does not exist.

    Args:
        path: The file.
        content: `name/version`, which a change of the images must change.
        make: Returns shape, images and factors, as for `write`; called only if there is no file.
        facts: As for `write`; `make` and its images may fill it.
    """
    dataset = read(path, content)
    if dataset is None:
        write(path, content, *make(), facts)
        dataset = read(path, content)
    if dataset is None:
        raise ValueError(f"{path} must stay as it was written, but was changed: try again.")
    return dataset


def _description(path: Path) -> dict[str, Any] | None:
    """The JSON of a file, or None if it is not one of ours or has another length than it claims."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            file.seek(size - LENGTH)
            length = int.from_bytes(file.read(LENGTH), "little")
            file.seek(size - LENGTH - length)
            line = file.read(length)
        about = from_json(line)
        whole = is_sealed(line) and size == len(MAGIC) + _payload(about) + length + LENGTH
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return about if whole and "facts" in about else None


def _is_intact(path: Path, about: dict[str, Any]) -> bool:
    """Whether images and labels are those that were written, as far as they fit into memory.

    Larger ones are not read: that would take minutes at every start.
    """
    payload = _payload(about)
    if payload > memory_limit():
        return True
    status = path.stat()
    version = (status.st_ino, status.st_size, status.st_mtime_ns)
    return _payload_crc(path, payload, version) == about["crc32"]


@lru_cache(maxsize=256)
def _payload_crc(path: Path, payload: int, version: tuple[int, ...]) -> int:
    """The CRC-32 of images and labels in a version of a file, computed once in a process."""
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        return crc32_of(file, payload)


def _mapped_images(about: dict[str, Any]) -> MappedImages | None:
    if about["outside"] is None:
        return None
    return MappedImages(**about["outside"] | {"stored": tuple(about["outside"]["stored"])})


def _payload(about: dict[str, Any]) -> int:
    """Bytes of images and labels in the file itself."""
    grid = about["grid"]
    if about["outside"] is not None:
        return 0
    labels = 0 if grid is None or not grid["partial"] else 4 * len(grid["names"])
    return math.prod(about["stored"]) + labels * about["stored"][0]


def _block(stored: tuple[int, ...]) -> int:
    """The number of neighbouring images that are shuffled together, as for `ImageDataset`."""
    return max(1, READ // math.prod(stored[1:])) if math.prod(stored) > memory_limit() else 1


def _to_json(grid: FactorGrid) -> dict[str, Any]:
    keys = ("names", "sizes", "scored", "ordered", "categories")
    return {key: getattr(grid, key) for key in keys} | {"partial": not grid.is_complete}
