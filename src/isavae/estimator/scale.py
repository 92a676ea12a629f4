"""`Scale`: one change of units for an array, a tensor and a table, fixed when a model is fitted."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

# Values that a model of shares in [0, 1] still takes: a few of new rows may lie beyond 1.
LARGEST_SHARE = 4.0
# The size of the largest value, and its inverse, that a fit takes.
MOST = 1e18


def holds_bytes(X: Any) -> bool:
    """Whether an array, a tensor or all columns of a table are uint8."""
    kinds = [X.dtype] if hasattr(X, "dtype") else list(getattr(X, "dtypes", ()))
    return bool(kinds) and all(str(kind).lower().endswith("uint8") for kind in kinds)


@final
@dataclass(frozen=True)
class Scale:
    """The change of units between rows as they come and as the networks see them.

    Attributes:
        mean: Subtracted from every column.
        spread: Divides every column afterwards.
        is_share: Whether rows come as shares in [0, 1], as images do; uint8 are then divided by
            255.
    """

    mean: np.ndarray
    spread: np.ndarray
    is_share: bool

    @classmethod
    def of(cls, rows: np.ndarray, scale: str) -> "Scale":
        """The scale of the rows that a model is fitted on.

        Args:
            rows: (n, features).
            scale: "standardise", "none", or "auto": none for values in [0, 1].

        Raises:
            ValueError: If there is no such scale, or float32 does not hold the values or their
                squares.
        """
        if scale not in ("auto", "standardise", "none"):
            raise ValueError(f"scale must be auto, standardise or none; got {scale!r}")
        largest = float(np.abs(rows).max())
        if largest > MOST or 0 < largest < 1 / MOST:
            raise ValueError(
                f"the largest value must be between {1 / MOST:g} and {MOST:g} in size, for results "
                f"are float32; got {largest:g}: change the unit"
            )
        is_share = bool(rows.min() >= 0 and rows.max() <= 1)
        n = rows.shape[1]
        if scale == "none" or (scale == "auto" and is_share):
            return cls(np.zeros(n), np.ones(n), is_share)
        mean, spread = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
        # a constant column has a spread of rounding errors only
        constant = spread <= 1e-6 * np.abs(mean).clip(min=1e-30)
        return cls(mean, np.where(constant, 1.0, spread), is_share)

    def apply(self, rows: np.ndarray) -> Tensor:
        """Rows as float32 in the networks' units.

        Raises:
            ValueError: If the model was fitted on shares, and the rows reach far beyond them.
        """
        if self.is_share and max(rows.max(), -rows.min()) > LARGEST_SHARE:
            raise ValueError(
                "values must have the unit of those in fit, which lay in [0, 1]; got "
                f"{rows.min():.4g} to {rows.max():.4g}: divide them by 255, or give uint8"
            )
        return torch.from_numpy(((rows - self.mean) / self.spread).astype(np.float32))

    def revert(self, rows: np.ndarray) -> np.ndarray:
        return (rows * self.spread + self.mean).astype(np.float32)

    @property
    def log_volume(self) -> float:
        """The logarithm of a unit volume, by which densities of both units differ."""
        return float(np.log(self.spread).sum())
