"""`Unread`: images that are about to be read, from wherever they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Unread:
    """Images that are about to be read.

    Args:
        shape: (channels, height, width).
        count: How many there are.
        blocks: Their pixels as they are stored, some at a time.
        names: The name of every image, where it has one.
    """

    shape: tuple[int, int, int]
    count: int
    blocks: Iterator[np.ndarray]
    names: Sequence[str] = ()
