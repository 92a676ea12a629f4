"""Images that stay in a published file, uncompressed inside a zip; the cache notes where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

# Bytes that are hashed at a time.
BLOCK = 1 << 24


@final
@dataclass(frozen=True)
class MappedImages:
    """The place of images in another file, and what reveals a change of that file.

    Args:
        path: The file.
        offset: Where the first image begins.
        stored: (images, height, width, channels).
        size: Size of the whole file in bytes.
        changed: Time of its last change in nanoseconds.
    """

    path: str
    offset: int
    stored: tuple[int, int, int, int]
    size: int
    changed: int

    @classmethod
    def at(cls, path: Path, offset: int, stored: tuple[int, int, int, int]) -> "MappedImages":
        """The place of images in a file as it is now."""
        status = path.stat()
        return cls(str(path.resolve()), offset, stored, status.st_size, status.st_mtime_ns)

    @property
    def is_there(self) -> bool:
        """Whether the file exists and is unchanged."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.changed)

    def images(self) -> np.ndarray:
        """The images, memory-mapped: uint8, shape (images, channels, height, width)."""
        mapped = np.memmap(self.path, np.uint8, "r", self.offset, tuple(self.stored))
        return mapped.transpose(0, 3, 1, 2)

    def blocks(self) -> Iterator[memoryview]:
        """Their bytes as stored, some at a time."""
        flat = np.memmap(self.path, np.uint8, "r", self.offset, int(np.prod(self.stored)))
        for first in range(0, len(flat), BLOCK):
            yield flat[first : first + BLOCK].data
