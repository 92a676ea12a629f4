"""`Codes`: posterior means and log-stds with the factors of their images, the input of scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from isavae.data import FactorGrid
from isavae.data.factor_columns import as_grid
from isavae.errors import counted
from isavae.metrics.as_tables import as_floats, check_indexes
from isavae.metrics.factor_classes import Factor

# Images per value below which a factor of numbers counts as continuous: with fewer, the estimated
# information about a value is mostly that about the image.
MIN_IMAGES = 50

# Beyond, squares of means, or stds and their inverses, may leave the range of float32.
LARGEST = {"mean": 1e18, "log_std": 80.0}


@final
class NotApplicable(ValueError):  # noqa: N818 - a condition of the codes, not a fault
    """The codes do not allow a score: no labels, no stds, one factor, too few images."""


@final
@dataclass(frozen=True, eq=False, init=False)
class Codes:
    """Diagonal normal posteriors q(z|x_n) = N(mean_n, diag exp(2 log_std_n)), one row per image.

    They may come from a VAE, PCA, another encoder or a table.

    Args:
        mean: Posterior means (or plain codes), shape (images, latents): a tensor, an array, nested
            lists, or a pandas or polars DataFrame.
        log_std: Logarithms of the posterior standard deviations; None for deterministic codes.
        factors: Factors of the images: a `FactorGrid`; a mapping, a DataFrame or an Arrow table
            with one value per image for each factor's name; or an array of classes with one column
            per factor.
            Values are numbers, dates or text and are sorted into classes, ordered categories in
            their own order; None, NaN and text such as "NA"
            mean unknown. None if nothing is known about the images. Rows are in the order of those
            of `mean`; where both are of pandas, their indexes must be equal.
        unknown: A further value that means unknown, such as -1 in an array of classes.
        bins: In how many quantile bins scores take a continuous factor; 0 takes every value as a
            class. A factor is continuous if its values are numbers, more than `bins`, and on
            average occur in fewer than 50 images each. `binned()` lists these factors.

    Attributes:
        grid: The factors as a `FactorGrid`, or None.

    Raises:
        ValueError: If the shapes or row counts do not fit together, a value is not finite, a mean
            is beyond 1e18, or a log-std beyond 80, or two tables of pandas have different indexes.

    Examples:
        >>> grid = FactorGrid(("x", "y"), (2, 3))
        >>> codes = Codes(torch.zeros(6, 4), torch.zeros(6, 4), grid)
        >>> len(codes), codes.latents, codes.factor_names()
        (6, 4, ('x', 'y'))
        >>> factors = {"shape": ["disc", "ring", None], "size": [2.5, 1.0, float("nan")]}
        >>> codes = Codes([[0.1], [0.2], [0.3]], factors=factors)
        >>> codes.factor("size").labels, codes.factor("shape").counts
        (tensor([ 1,  0, -1]), tensor([1, 1]))
    """

    mean: Float[Tensor, "n latents"]
    log_std: Float[Tensor, "n latents"] | None
    grid: FactorGrid | None
    bins: int

    def __init__(
        self,
        mean: ArrayLike | Tensor,
        log_std: ArrayLike | Tensor | None = None,
        factors: FactorGrid | Mapping[str, Any] | ArrayLike | Tensor | None = None,
        *,
        unknown: int | float | str | None = None,
        bins: int = 20,
    ) -> None:
        check_indexes(mean=mean, log_std=log_std, factors=factors)
        means = as_floats("mean", mean)
        log_stds = None if log_std is None else as_floats("log_std", log_std)
        _check_matrices(means, log_stds)
        grid = as_grid(factors, unknown)
        if grid is not None and len(grid) != len(means):
            raise ValueError(
                f"The factors must describe every code, but have {counted(len(grid), 'row')} for "
                f"{counted(len(means), 'code')}: select the same images in both."
            )
        if bins < 2 and bins != 0:
            raise ValueError(f"`bins` must be 2 or more, or 0 for none, but is {bins}: give 20.")
        fields = {"mean": means, "log_std": log_stds, "grid": grid, "bins": bins}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def latents(self) -> int:
        """Number of latents."""
        return self.mean.shape[1]

    def posteriors(self) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"]]:
        """Means and log-stds, for scores that make sense only with both.

        Raises:
            NotApplicable: If the codes are deterministic.
        """
        if self.log_std is None:
            raise NotApplicable(
                "This score needs posterior standard deviations, but the codes are deterministic "
                "(log_std is None): pass log_std, or use a score of the means such as binned_mig."
            )
        return self.mean, self.log_std

    def take(self, rows: Int64[Tensor, "rows"]) -> "Codes":
        """The codes of the given rows."""
        return Codes(
            self.mean[rows],
            None if self.log_std is None else self.log_std[rows],
            None if self.grid is None else self.grid.take(rows.numpy()),
            bins=self.bins,
        )

    def sample(self, generator: torch.Generator) -> Float[Tensor, "n latents"]:
        """One draw z ~ q(z|x_n) per row; the means themselves if the codes are deterministic.

        Args:
            generator: The source of noise, on the CPU as the codes are.
        """
        if self.log_std is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, noise, self.log_std.exp())

    def conditional_means(self, factors: Sequence[str]) -> Float[Tensor, "... latents"]:
        """Mean code of every combination of some factors' classes, over all other factors.

        Args:
            factors: Names; one axis of the result for each.

        Returns:
            Float64; NaN for combinations without a row. Rows with an unknown class are left out.

        Raises:
            ValueError: If the codes have no such factor.

        Examples:
            >>> codes = Codes(torch.arange(6.0)[:, None], factors=FactorGrid(("a", "b"), (2, 3)))
            >>> codes.conditional_means(["b"]).flatten()
            tensor([1.5000, 2.5000, 3.5000], dtype=torch.float64)
        """
        return self._conditional(factors, self.mean.double())

    def conditional_stds(self, factors: Sequence[str]) -> Float[Tensor, "... latents"]:
        """Standard deviation of the mean codes about `conditional_means(factors)`, like these."""
        means = self.conditional_means(factors).flatten(0, -2)
        offsets = self.mean.double() - means[self._grid.combinations(factors)]
        return self._conditional(factors, offsets.square()).sqrt()

    def factor(self, name: str) -> Factor:
        """The labels of one factor.

        Raises:
            NotApplicable: If the codes have no factors.
            ValueError: If they have no factor of that name.
        """
        bins = self.bins if self._is_continuous(name) else 0
        return Factor.from_column(name, self._grid.column(name), bins)

    def binned(self, factors: Sequence[str] | None = None) -> dict[str, int]:
        """The number of quantile bins of each continuous factor, as scores take it.

        Args:
            factors: Names; by default the grid's scored factors.

        Examples:
            >>> Codes(torch.randn(100, 2), factors={"age": range(100), "sex": [0, 1] * 50}).binned()
            {'age': 20}
        """
        if self.grid is None:
            return {}
        continuous = [name for name in self._asked(factors) if self._is_continuous(name)]
        return {name: len(self.factor(name).counts) for name in continuous}

    def with_bins_as_classes(self) -> "Codes":
        """The codes with the bins of continuous factors as classes, which parts of them share."""
        if self.grid is None:
            return self
        labels = self.grid.labels_array().copy()
        sizes, binned = list(self.grid.sizes), self.binned(self.grid.names)
        for name in binned:
            factor, k = self.factor(name), self.grid.position(name)
            labels[:, k], sizes[k] = factor.labels.numpy(), len(factor.counts)
        named = {name: v for name, v in self.grid.categories.items() if name not in binned}
        grid = replace(self.grid, sizes=sizes, labels=labels, categories=named)
        return Codes(self.mean, self.log_std, grid, bins=0)

    def has_factors(self, factors: Sequence[str] | None = None, count: int = 1) -> bool:
        """Whether `factor_names(factors)` would give at least `count` names.

        Args:
            factors: Names; by default the grid's scored factors.
            count: The number of names.
        """
        return self.grid is not None and len(self._varying(self._asked(factors))) >= count

    def factor_names(self, factors: Sequence[str] | None = None) -> tuple[str, ...]:
        """The factors that a score averages over.

        Args:
            factors: Names; by default the grid's `scored` factors that vary over these codes.

        Raises:
            NotApplicable: If the codes have no factors, or a factor takes fewer than two values.
            ValueError: If a factor is unknown or named twice.
        """
        names = self._asked(factors)
        varying = self._varying(names)
        if factors is None and varying:
            return varying
        if len(set(names)) != len(names):
            raise ValueError(f"Factors must be distinct, but are {names}: name each of them once.")
        if not names or varying != names:
            raise NotApplicable(
                "A score needs one or more factors that take at least two values each, "
                f"but of {names} only {varying} do: name others with factors=."
            )
        return names

    def _is_continuous(self, name: str) -> bool:
        """Whether a factor's values are numbers, many of them, and few images have the same."""
        column = self._grid.column(name)
        if name not in self._grid.categories or name not in (self._grid.ordered or ()):
            return False
        known = column[column >= 0]
        values = len(np.unique(known))
        return values > self.bins > 0 and len(known) < MIN_IMAGES * values

    @property
    def _grid(self) -> FactorGrid:
        if self.grid is None:
            raise NotApplicable(
                "This needs factor labels, but the codes have none: pass factors= to Codes."
            )
        return self.grid

    def _asked(self, factors: Sequence[str] | None) -> tuple[str, ...]:
        scored = self._grid.names if self._grid.scored is None else self._grid.scored
        return tuple(scored if factors is None else factors)

    def _varying(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if len(self.factor(name).counts) > 1)

    def _conditional(
        self, factors: Sequence[str], values: Float[Tensor, "n latents"]
    ) -> Float[Tensor, "... latents"]:
        """Mean of some values of every row, for every combination of classes."""
        sizes = [self._grid.sizes[self._grid.position(factor)] for factor in factors]
        cells = torch.from_numpy(self._grid.combinations(factors))
        known = cells >= 0
        counts = torch.bincount(cells[known], minlength=math.prod(sizes))
        total = torch.zeros(len(counts), self.latents, dtype=torch.float64)
        total.index_add_(0, cells[known], values[known])
        return (total / counts[:, None]).unflatten(0, sizes)


def _check_matrices(mean: Tensor, log_std: Tensor | None) -> None:
    if mean.ndim != 2 or not mean.numel():
        raise ValueError(
            "`mean` must have the shape (images, latents) with one or more of each, but has "
            f"{tuple(mean.shape)}: pass one row per image."
        )
    for name, values in {"mean": mean, "log_std": log_std}.items():
        if values is None:
            continue
        if values.shape != mean.shape:
            raise ValueError(
                f"`{name}` must have the shape of `mean`, {tuple(mean.shape)}, but has "
                f"{tuple(values.shape)}: pass both for the same images."
            )
        if not torch.isfinite(values).all():
            row = int(torch.nonzero(~torch.isfinite(values))[0, 0])
            raise ValueError(
                f"Codes must be finite, but `{name}` is not in row {row}: drop such rows first."
            )
        if float(values.abs().max()) > LARGEST[name]:
            raise ValueError(
                f"`{name}` must be within ±{LARGEST[name]:g}, but is not: bring the codes to unit "
                "variance first."
            )
