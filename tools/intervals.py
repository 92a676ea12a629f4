"""Bootstrap intervals and tests of the scores of some seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

DRAWS = 20_000
Values = np.ndarray | Sequence[float]


def median(values: Values, digits: int = 2) -> str:
    """The median and its 95 % percentile bootstrap interval."""
    low, high = np.quantile(_medians(values, np.random.default_rng(0)), [0.025, 0.975])
    return f"{np.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def difference(a: Values, b: Values, digits: int = 2) -> tuple[str, float]:
    """The difference of medians with its 95 % interval, and the p of a Mann-Whitney test."""
    rng = np.random.default_rng(0)
    low, high = np.quantile(_medians(a, rng) - _medians(b, rng), [0.025, 0.975])
    value = float(np.median(a) - np.median(b))
    return _signed(value, low, high, digits), float(stats.mannwhitneyu(a, b).pvalue)


def stratified(pairs: Sequence[tuple[Values, Values]], digits: int = 3) -> tuple[str, float]:
    """The difference of means, averaged over strata, with its 95 % interval and p.

    Args:
        pairs: For each stratum, the values of the one group and those of the other.
        digits: Digits after the point.

    Returns:
        The difference with its bootstrap interval, and the p of a permutation within the strata.
    """
    rng = np.random.default_rng(0)
    value = float(np.mean([np.mean(a) - np.mean(b) for a, b in pairs]))
    spread, chance = np.zeros(DRAWS), np.zeros(DRAWS)
    for a, b in pairs:
        first, second = (rng.choice(group, (DRAWS, len(group))) for group in (a, b))
        spread += (first.mean(1) - second.mean(1)) / len(pairs)
        both = rng.permuted(np.tile(np.concatenate([a, b]), (DRAWS, 1)), axis=1)
        chance += (both[:, : len(a)].mean(1) - both[:, len(a) :].mean(1)) / len(pairs)
    low, high = np.quantile(spread, [0.025, 0.975])
    # Sums in another order differ in their last bits.
    p = (1 + np.sum(np.abs(chance) >= abs(value) - 1e-12)) / (1 + DRAWS)
    return _signed(value, low, high, digits), float(p)


def _medians(values: Values, rng: np.random.Generator) -> np.ndarray:
    """Medians of resampled values, (DRAWS,)."""
    return np.median(rng.choice(values, (DRAWS, len(values))), axis=1)


def _signed(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
