"""`ImageStream`: images that are about to be read, from wherever they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class ImageStream:
    """Images that are about to be read.

    Args:
        shape: (channels, height, width).
        count: How many there are.
        blocks: Pixels of those that can be read, as they are stored, some at a time.
        names: The name of every image, where it has one.
        damaged: Position of those that cannot be read, and why; complete once all blocks are taken.
    """

    shape: tuple[int, int, int]
    count: int
    blocks: Iterator[np.ndarray]
    names: Sequence[str] = ()
    damaged: Mapping[int, str] = field(default_factory=dict)
