"""From an estimator's arguments and rows to what the training loop takes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from types import NoneType
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from isavae.data import ImageDataset
from isavae.data.conversion import as_images
from isavae.data.order import epoch_order
from isavae.distributions import LpTree
from isavae.models import AnyObjective, BetaTCVAE, BetaVAE, Likelihood

# Latents of a subspace where only their number is given.
SIZE = 4
# (n, features), or images: an array, a table, a list or a generator.
Samples: TypeAlias = ArrayLike | Iterable[Any]
Sizes: TypeAlias = Sequence[int] | np.ndarray
# Names of types of text, in pandas and polars.
TEXTS = re.compile(r"object|str|categor|enum", re.I)
# Names of types of dates, times and durations, in NumPy, pandas and polars.
TIMES = re.compile(r"date|time|duration|period", re.I)
WEIGHTED_BY_BETA = {"beta-vae": BetaVAE, "beta-tcvae": BetaTCVAE}


def tree_of(
    latents: int | np.integer | str | Sizes | LpTree | None,
    subspaces: int | np.integer | Sizes | None,
    p0: float,
    p: float | Sequence[float] | np.ndarray,
) -> LpTree:
    """The tree of the prior, as `ISAVAE` describes it.

    Examples:
        >>> print(tree_of(10, None, 2.1, 4.0))
        2.1[4*4, 4*3, 4*3]
        >>> print(tree_of(None, (2, 3), 2.1, (3.0, 4.0)))
        2.1[3*2, 4*3]
    """
    if subspaces is not None and not isinstance(latents, (Integral, NoneType)):
        raise ValueError(f"{latents} says what the subspaces are: leave out subspaces")
    if isinstance(latents, (str, LpTree)):
        return LpTree.parse(latents) if isinstance(latents, str) else latents
    sizes = _sizes(latents, subspaces)
    exponents = [*p] if isinstance(p, (Sequence, np.ndarray)) else [p] * len(sizes)
    if len(exponents) != len(sizes):
        raise ValueError(
            f"p must be one exponent, or one per subspace, {len(sizes)}; got {len(exponents)}"
        )
    return LpTree.isa(p0, zip(exponents, sizes, strict=True))


def _sizes(
    latents: int | np.integer | Sizes | None, subspaces: int | np.integer | Sizes | None
) -> list[int]:
    """The sizes of the subspaces: those that are given, or about four, as even as possible."""
    given = subspaces if isinstance(latents, (Integral, NoneType)) else latents
    if isinstance(given, (Sequence, np.ndarray)):
        sizes = [int(size) for size in given]
        if isinstance(latents, Integral) and latents != sum(sizes):
            raise ValueError(f"subspaces must have {latents} latents in all; got {sizes}")
        return sizes
    n_subspaces = int(given) if isinstance(given, (int, np.integer)) else 5
    n_latents = int(latents) if isinstance(latents, (int, np.integer)) else SIZE * n_subspaces
    if given is None:
        n_subspaces = -(-n_latents // SIZE)
    if not 1 <= n_subspaces <= n_latents:
        raise ValueError(
            f"there must be at least one latent in each subspace; got {n_latents} latents in "
            f"{n_subspaces} subspaces"
        )
    return [len(part) for part in np.array_split(range(n_latents), n_subspaces)]


def check_counts(latents: Any, subspaces: Any, **others: Any) -> None:
    """Check that numbers of latents, of subspaces and of others are whole.

    Raises:
        ValueError: If one is not, or there are no subspaces.
    """
    named = {"latents": latents, "subspaces": subspaces}
    for name, given in named.items():
        if isinstance(given, (list, tuple, np.ndarray)):
            if not len(given) or not all(_is_whole(size) and size > 0 for size in given):
                raise ValueError(
                    f"{name} must list the number of latents of each subspace, from 1 on; got "
                    f"{list(given)}"
                )
        elif not isinstance(given, (str, LpTree, NoneType)):
            others[name] = given
    for name, given in others.items():
        if not _is_whole(given):
            raise ValueError(f"{name} must be a whole number; got {given!r}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def rows_or_images(X: Any) -> Any:
    """An array of images where X is a list, a generator, an array or a data set of them; else X.

    Raises:
        ValueError: If the images differ in size, mode or type, values are masked, dates or
            durations, or there are more than four axes.
    """
    _check_numbers(X)
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "values must not be masked, for they would be taken as they are: fill them, or leave "
            "out their rows"
        )
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        return X.float() if X.dtype == torch.bfloat16 else X
    if isinstance(X, ImageDataset):
        return X.batch(slice(None)).numpy()
    if isinstance(X, Iterator) or hasattr(X, "getbands"):
        return as_images(X)
    holds_objects = str(getattr(X, "dtype", "")) == "object" and getattr(X, "ndim", 0) == 1
    if holds_objects or isinstance(X, (list, tuple)):
        first: Any = next(iter(X), None)
        if hasattr(first, "getbands") or np.ndim(first) > 1:
            return as_images(X)
    return X


def _check_numbers(X: Any) -> None:
    """Check that an array or the columns of a table are no dates, which NumPy counts in units.

    Raises:
        ValueError: If some are, a column holds text, or an array has more than four axes.
    """
    if getattr(X, "ndim", 2) > 4:
        raise ValueError(
            "rows must be features (n, k) or images (n, h, w) or (n, channels, h, w); got shape "
            f"{tuple(X.shape)}: reshape them"
        )
    kinds = [X.dtype] if hasattr(X, "dtype") else list(getattr(X, "dtypes", ()))
    names = list(getattr(X, "columns", ()))
    for k, kind in enumerate(kinds):
        if getattr(kind, "kind", "f") in "mM" or TIMES.match(str(kind)):
            where = f"column {names[k]!r} holds" if names else "they are"
            raise ValueError(
                f"values must be numbers; {where} {kind}: subtract a date and divide by a unit, "
                'such as pandas.Timedelta("1D"), or leave them out'
            )
        text = _text_in(X[names[k]]) if names and TEXTS.match(str(kind)) else None
        if text is not None:
            raise ValueError(
                f"values must be numbers; column {names[k]!r} holds text, such as {text!r}: encode "
                "it, as by OneHotEncoder, or leave it out"
            )


def _text_in(column: Iterable[Any]) -> str | None:
    """The first text in a column that is no number."""
    for value in column:
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return value
    return None


def likelihood_of(likelihood: str, rows: Tensor) -> str:
    """The likelihood's name; "auto" is Bernoulli where all values are 0 or 1, else Gaussian."""
    if likelihood != "auto":
        return likelihood
    return "bernoulli" if bool(((rows == 0) | (rows == 1)).all()) else "gaussian"


def start_spread(likelihood: Likelihood, rows: Tensor) -> None:
    """Start a learned shared spread at a third of that of the rows.

    From the default, ln 2, a model of values in [0, 1] loses most latents before the spread has
    shrunk.
    """
    if isinstance(raw := getattr(likelihood, "raw", None), Tensor):
        spread = float(rows.var(0).mean().sqrt()) / 3
        with torch.no_grad():
            raw.fill_(np.log(np.expm1(min(max(spread, 1e-3), 10.0))))


def objective_of(objective: str | AnyObjective, beta: float) -> AnyObjective:
    """The objective of that name with that β, or the object itself."""
    if isinstance(objective, AnyObjective):
        return objective
    if objective not in WEIGHTED_BY_BETA:
        raise ValueError(
            f"an objective must be one of {', '.join(WEIGHTED_BY_BETA)}, or an object such as "
            f"FactorVAE(gamma=6.0) from isavae.models; got {objective!r}"
        )
    return WEIGHTED_BY_BETA[objective](beta=beta)


def image_shape(
    axes: tuple[int, ...], wanted: tuple[int, int, int] | None = None
) -> tuple[int, int, int]:
    """(channels, height, width) of a sample.

    Args:
        axes: The sample's own shape: (features,), (height, width) or (channels, height, width).
        wanted: The shape, where the axes do not say it.

    Raises:
        ValueError: If the wanted shape has another number of pixels, or channels are last.

    Examples:
        >>> image_shape((8, 8)), image_shape((64,), (1, 8, 8))
        ((1, 8, 8), (1, 8, 8))
    """
    if len(axes) == 3 and axes[0] > 4 >= axes[2]:
        raise ValueError(
            f"images must have their channels first; got samples of shape {axes}: give "
            "X.transpose(0, 3, 1, 2)"
        )
    channels, height, width = wanted or (1,) * (3 - len(axes)) + axes
    if channels * height * width != prod(axes):
        raise ValueError(
            f"image_shape must have as many pixels as a sample has values, {prod(axes)}; "
            f"got {(channels, height, width)}"
        )
    return channels, height, width


@final
@dataclass(frozen=True)
class Rows:
    """Flat rows as minibatches of images, in the training loop's terms.

    Attributes:
        rows: (n, pixels).
        shape: (channels, height, width) of an image.
    """

    rows: Tensor
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def minibatch(
        self, seed: int, step: int, batch_size: int, device: torch.device | None = None
    ) -> Tensor:
        """The rows of that step: every one once per epoch, a last incomplete batch left out."""
        epoch, position = divmod(step, len(self) // batch_size)
        first = position * batch_size
        order = epoch_order(len(self), seed, epoch)[first : first + batch_size]
        return self.rows[torch.from_numpy(order.copy())].unflatten(1, self.shape).to(device)
