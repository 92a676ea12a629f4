"""Images that stay in a published file, uncompressed inside a zip: the cache notes where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

BLOCK = 1 << 24  # bytes that are hashed at a time


@final
@dataclass(frozen=True)
class MappedImages:
    """Where bytes of images lie in another file, and by what a change of that file is noticed.

    Args:
        path: The file.
        offset: Where the first image begins.
        stored: (images, height, width, channels).
        size: Bytes of the whole file.
        changed: When it was last changed, in nanoseconds.
    """

    path: str
    offset: int
    stored: tuple[int, int, int, int]
    size: int
    changed: int

    @classmethod
    def at(cls, path: Path, offset: int, stored: tuple[int, int, int, int]) -> "MappedImages":
        """Where images lie in a file as it is now."""
        status = path.stat()
        return cls(str(path.resolve()), offset, stored, status.st_size, status.st_mtime_ns)

    @property
    def is_there(self) -> bool:
        """Whether the file is there as it was."""
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
        """Their bytes as they lie there, some at a time."""
        flat = np.memmap(self.path, np.uint8, "r", self.offset, int(np.prod(self.stored)))
        for first in range(0, len(flat), BLOCK):
            yield flat[first : first + BLOCK].data
