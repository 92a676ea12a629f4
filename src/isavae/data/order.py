"""The order in which an epoch visits the images: a pure function of (seed, epoch)."""

from functools import lru_cache

import numpy as np

from isavae.data.seeded import permutation

BLOCKS_PER_WINDOW = 1024


@lru_cache(maxsize=4)
def epoch_order(n: int, seed: int, epoch: int, block: int = 1) -> np.ndarray:
    """Every image once, shuffled.

    With `block` = 1 all n! orders can occur. With larger blocks, for data read from disk, runs of
    `block` neighbouring images are shuffled first, and then the images within windows of 1024 runs:
    reads stay near each other, and any image of a window can meet any other in a minibatch.

    Args:
        n: Number of images.
        seed: The run's seed.
        epoch: Counts from 0.
        block: Neighbouring images that stay in the same window.

    Returns:
        int64, shape (n,), read-only.

    Examples:
        >>> epoch_order(5, seed=0, epoch=0), epoch_order(5, seed=0, epoch=1)
        (array([...]), array([...]))
    """
    if block == 1:
        order = permutation(n, seed, epoch)
    else:
        starts = block * permutation(-(-n // block), seed, epoch)
        order = (starts[:, None] + np.arange(block)).ravel()
        order = order[order < n]
        for first in range(0, n, window := block * BLOCKS_PER_WINDOW):
            part = order[first : first + window]
            part[:] = part[permutation(len(part), seed, epoch, first + 1)]
    order.flags.writeable = False
    return order
