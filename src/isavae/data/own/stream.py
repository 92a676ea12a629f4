"""`ImageStream`: images that are about to be read, from wherever they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class ImageStream:
    """Images that are about to be read.

    Args:
        shape: (channels, height, width).
        count: The number of images, those that cannot be read among them.
        blocks: Pixels of the images that can be read, as they are stored, some at a time.
        names: The name of every image, where it has one.
        left_out: Why an image cannot be read, by name; complete once all blocks are taken.
        changes: Returns what reading changed, one sentence each, once all blocks are taken.
    """

    shape: tuple[int, int, int]
    count: int
    blocks: Iterator[np.ndarray]
    names: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    changes: Callable[[], list[str]] = list

    def positions(self) -> np.ndarray:
        """Positions of the images that could be read, once all blocks are taken."""
        if not self.left_out:
            return np.arange(self.count)
        return np.flatnonzero([name not in self.left_out for name in self.names])
