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
    rng, draws = np.random.default_rng(0), DRAWS // 4

    def mean_difference(some: Sequence[tuple[Values, Values]]) -> float:
        return float(np.mean([np.mean(a) - np.mean(b) for a, b in some]))

    def resampled(a: Values, b: Values) -> tuple[Values, Values]:
        return rng.choice(a, len(a)), rng.choice(b, len(b))

    def permuted(a: Values, b: Values) -> tuple[Values, Values]:
        both = rng.permutation(np.concatenate([a, b]))
        return both[: len(a)], both[len(a) :]

    value = mean_difference(pairs)
    spread = [mean_difference([resampled(*pair) for pair in pairs]) for _ in range(draws)]
    chance = [mean_difference([permuted(*pair) for pair in pairs]) for _ in range(draws)]
    low, high = np.quantile(spread, [0.025, 0.975])
    p = (1 + np.sum(np.abs(chance) >= abs(value))) / (1 + draws)
    return _signed(value, low, high, digits), float(p)


def _medians(values: Values, rng: np.random.Generator) -> np.ndarray:
    """Medians of resampled values, (DRAWS,)."""
    return np.median(rng.choice(values, (DRAWS, len(values))), axis=1)


def _signed(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
