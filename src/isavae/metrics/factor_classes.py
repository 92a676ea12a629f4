"""`Factor`: the classes of one factor's labels, and quantile bins of continuous ones."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Factor:
    """One factor's labels over the rows of some codes, with the classes that occur in them.

    Args:
        name: The factor's name.
        labels: Class of every row, renumbered 0, 1, ... over the classes that occur; -1 unknown.
        counts: How many rows show each class; all positive.
    """

    name: str
    labels: Int64[Tensor, "n"]
    counts: Int64[Tensor, "classes"]

    @classmethod
    def from_column(cls, name: str, column: Int[np.ndarray, "n"], bins: int = 0) -> "Factor":
        """The factor of a column of class numbers, -1 unknown.

        Args:
            name: The factor's name.
            column: Class of every row.
            bins: In how many quantile bins classes are joined; 0 joins none.
        """
        if bins:
            joined = quantile_bins(np.bincount(column[column >= 0]), bins)
            column = np.where(column < 0, -1, joined[column])
        counts = np.bincount(column[column >= 0], minlength=1)
        occurs = counts > 0
        labels = np.where(column < 0, -1, (np.cumsum(occurs) - 1)[column])
        return cls(name, torch.from_numpy(labels), torch.from_numpy(counts[occurs]).long())

    @property
    def known(self) -> Int64[Tensor, "labelled"]:
        """Rows whose class is known."""
        return torch.nonzero(self.labels >= 0)[:, 0]

    @property
    def weights(self) -> Float[Tensor, "classes"]:
        """Empirical distribution p(v) over the classes."""
        return self.counts.double() / self.counts.sum()

    @property
    def entropy(self) -> float:
        """H(v) of the empirical distribution, in nats."""
        return float(torch.special.entr(self.weights).sum())


def quantile_bins(counts: Int64[np.ndarray, "classes"], bins: int) -> Int64[np.ndarray, "classes"]:
    """The bin of each of some ordered classes, 0..bins-1, so that bins hold equally many images.

    A class stands at the middle of its images; a class that fills more than a bin keeps one.

    Args:
        counts: How many images show each class.
        bins: The number of bins.

    Examples:
        >>> quantile_bins(np.array([1, 1, 1, 1, 4]), 4)
        array([0, 0, 1, 1, 3])
    """
    middles = np.cumsum(counts) - counts / 2
    return np.minimum(middles * bins // max(1, counts.sum()), bins - 1).astype(np.int64)
