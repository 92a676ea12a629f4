"""`Codes`: posterior means and log-stds with the factors of their images; all that a score sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from isavae.data import FactorGrid


@final
class NotApplicable(ValueError):  # noqa: N818 - a condition of the codes, not a fault
    """The codes do not allow a score: no labels, no stds, one factor, too few images."""


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


@final
@dataclass(frozen=True, eq=False)
class Codes:
    """Diagonal normal posteriors q(z|x_n) = N(mean_n, diag exp(2 log_std_n)), one row an image.

    Args:
        mean: Posterior means.
        log_std: Logarithms of the posterior standard deviations; None for deterministic codes.
        grid: Factors of the images, one row each; None if nothing is known about them.

    Raises:
        ValueError: If the shapes or row counts do not fit together or a value is not finite.

    Examples:
        >>> grid = FactorGrid(("x", "y"), (2, 3))
        >>> codes = Codes(torch.zeros(6, 4), torch.zeros(6, 4), grid)
        >>> len(codes), codes.latents, codes.factor_names()
        (6, 4, ('x', 'y'))
    """

    mean: Float[Tensor, "n latents"]
    log_std: Float[Tensor, "n latents"] | None
    grid: FactorGrid | None = None

    def __post_init__(self) -> None:
        _require_matrices(self.mean, self.log_std)
        if self.grid is not None and len(self.grid) != len(self.mean):
            raise ValueError(
                f"The grid must describe every code, but has {len(self.grid)} rows for "
                f"{len(self.mean)} codes: select the same images in both."
            )

    @classmethod
    def from_arrays(
        cls,
        mean: ArrayLike | Tensor,
        log_std: ArrayLike | Tensor | None = None,
        factors: FactorGrid | Mapping[str, Sequence | np.ndarray] | None = None,
    ) -> "Codes":
        """Codes of any origin: PCA, a foreign encoder, a table.

        Args:
            mean: Codes (or posterior means), shape (images, latents).
            log_std: Logarithms of posterior standard deviations, or None for deterministic codes.
            factors: A grid, or for each factor's name one value an image: numbers or text. Values
                are sorted into classes; None, NaN and negative integers mean unknown.

        Examples:
            >>> factors = {"shape": ["disc", "ring", None], "size": [2.5, 1.0, float("nan")]}
            >>> codes = Codes.from_arrays([[0.1], [0.2], [0.3]], factors=factors)
            >>> codes.factor("size").labels, codes.factor("shape").counts
            (tensor([ 1,  0, -1]), tensor([1, 1]))
        """
        if isinstance(factors, Mapping):
            factors = _grid_of(factors)
        mean, log_std = _floats(mean), None if log_std is None else _floats(log_std)
        _require_matrices(mean, log_std)
        return cls(mean, log_std, factors)

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
        """The codes of some rows."""
        return Codes(
            self.mean[rows],
            None if self.log_std is None else self.log_std[rows],
            None if self.grid is None else self.grid.take(rows.numpy()),
        )

    def sample(self, generator: torch.Generator) -> Float[Tensor, "n latents"]:
        """One draw z ~ q(z|x_n) a row; the means themselves if the codes are deterministic."""
        if self.log_std is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, noise, self.log_std.exp())

    def factor(self, name: str) -> Factor:
        """Labels of one factor.

        Raises:
            NotApplicable: If the codes have no factors.
            ValueError: If they have no factor of that name.
        """
        if self.grid is None:
            raise NotApplicable(
                "This score needs factor labels, but the codes have none: "
                "pass a grid, or factors= to Codes.from_arrays."
            )
        column = self.grid.column(name)
        counts = np.bincount(column[column >= 0], minlength=1)
        occurs = counts > 0
        renumbered = np.append(
            np.where(occurs, np.cumsum(occurs) - 1, -1), -1
        )  # [-1] answers to -1
        return Factor(
            name, torch.from_numpy(renumbered[column]), torch.from_numpy(counts[occurs]).long()
        )

    def has_factors(self, factors: Sequence[str] | None = None, count: int = 1) -> bool:
        """Whether `factor_names(factors)` would name so many factors."""
        if self.grid is None:
            return False
        names = self._asked(factors)
        return sum(len(self.factor(name).counts) > 1 for name in names) >= count

    def factor_names(self, factors: Sequence[str] | None = None) -> tuple[str, ...]:
        """The factors that a score averages over.

        Args:
            factors: Names; by default the grid's `scored` factors that vary over these codes.

        Raises:
            NotApplicable: If the codes have no factors, or a factor takes fewer than two values.
            ValueError: If a factor is unknown or named twice.
        """
        if self.grid is None:
            raise NotApplicable(
                "This score needs factor labels, but the codes have none: "
                "pass a grid, or factors= to Codes.from_arrays."
            )
        names = self._asked(factors)
        varying = tuple(name for name in names if len(self.factor(name).counts) > 1)
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

    def _asked(self, factors: Sequence[str] | None) -> tuple[str, ...]:
        assert self.grid is not None
        scored = self.grid.names if self.grid.scored is None else self.grid.scored
        return tuple(scored if factors is None else factors)


def _require_matrices(mean: Tensor, log_std: Tensor | None) -> None:
    for name, values in (("mean", mean), ("log_std", log_std)):
        if values is None:
            continue
        if values.ndim != 2 or values.shape != mean.shape:
            raise ValueError(
                f"`{name}` must have the shape (images, latents) of `mean`, but has "
                f"{tuple(values.shape)} beside {tuple(mean.shape)}: pass one row an image."
            )
        if not torch.isfinite(values).all():
            row = int(torch.nonzero(~torch.isfinite(values))[0, 0])
            raise ValueError(
                f"Codes must be finite, but `{name}` is not in row {row}: drop such rows first."
            )


def _floats(values: ArrayLike | Tensor) -> Tensor:
    tensor = torch.as_tensor(values).detach().cpu()
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _grid_of(columns: Mapping[str, Sequence | np.ndarray]) -> FactorGrid:
    """Any values to classes: sorted distinct values become 0, 1, ...; unknown ones -1."""
    classes = {name: _classes_of(np.asarray(values)) for name, values in columns.items()}
    if len({len(labels) for _, labels in classes.values()}) > 1:
        lengths = {name: len(labels) for name, (_, labels) in classes.items()}
        raise ValueError(f"Every factor must have one value an image, but lengths are {lengths}.")
    return FactorGrid(
        names=tuple(classes),
        sizes=tuple(max(1, len(values)) for values, _ in classes.values()),
        labels=np.stack([labels for _, labels in classes.values()], axis=1),
        ordered=tuple(name for name, (values, _) in classes.items() if values.dtype.kind in "iuf"),
    )


def _classes_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.dtype.kind == "f":
        known = ~np.isnan(values)
    elif values.dtype.kind in "iu":
        known = values >= 0
    else:
        known = np.array([value is not None and value == value for value in values], dtype=bool)
        values = np.array([str(value) for value in values])
    labels = np.full(len(values), -1, dtype=np.int64)
    distinct, labels[known] = np.unique(values[known], return_inverse=True)
    return distinct, labels
