"""From an estimator's arguments and rows to what the training loop takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor

from isavae.data.order import epoch_order
from isavae.distributions import LpTree
from isavae.models import AnyObjective, BetaTCVAE, BetaVAE

WEIGHTED_BY_BETA = {"beta-vae": BetaVAE, "beta-tcvae": BetaTCVAE}


def tree_of(subspaces: Sequence[int], p0: float, p: float | Sequence[float]) -> LpTree:
    """The tree of the prior.

    Examples:
        >>> print(tree_of((2, 3), 2.1, 4.0))
        2.1[4*2, 4*3]
    """
    exponents = list(p) if isinstance(p, Sequence) else [p] * len(subspaces)
    if len(exponents) != len(subspaces):
        raise ValueError(
            f"p must be one exponent, or one per subspace, {len(subspaces)}; got {len(exponents)}"
        )
    return LpTree.isa(p0, zip(exponents, subspaces, strict=True))


def likelihood_of(likelihood: str, rows: Tensor) -> str:
    """The likelihood's name; "auto" is Bernoulli where all values lie in [0, 1], else Gaussian."""
    if likelihood != "auto":
        return likelihood
    return "bernoulli" if bool(((rows >= 0) & (rows <= 1)).all()) else "gaussian"


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
        ValueError: If the wanted shape has another number of pixels.

    Examples:
        >>> image_shape((8, 8)), image_shape((64,), (1, 8, 8))
        ((1, 8, 8), (1, 8, 8))
    """
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
