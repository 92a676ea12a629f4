"""Random numbers as a pure function of a key, the same under every version of numpy.

Numpy promises the raw bits of a generator for all time, but not what `Generator` makes of them; a
resumed run must repeat its batches, and a drawn data set its images, under any version.
"""

import numpy as np


def permutation(n: int, *key: int) -> np.ndarray:
    """A random order of 0..n-1: int64.

    Examples:
        >>> permutation(5, 0, 1), permutation(5, 0, 1), permutation(5, 0, 2)
        (array([3, 4, 2, 1, 0]), array([3, 4, 2, 1, 0]), array([4, 3, 2, 0, 1]))
    """
    return np.argsort(_bits(key).random_raw(n), kind="stable")


def uniforms(shape: tuple[int, ...], *key: int) -> np.ndarray:
    """Numbers uniform in [0, 1), multiples of 2^-53: float64.

    Examples:
        >>> uniforms((2,), 7).round(4)
        array([0.4688, 0.4261])
    """
    raw = _bits(key).random_raw(int(np.prod(shape)))
    return (raw >> np.uint64(11)).reshape(shape) * 2.0**-53


def _bits(key: tuple[int, ...]) -> np.random.Philox:
    return np.random.Philox(np.random.SeedSequence(key))
