"""Priors as modules whose `forward()` returns p(z), so that exponents may be learned."""

from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isavae.distributions import LpNested, LpTree

PAPER_LAYOUT = LpTree.isa(2.1, [(2.2, 4)] * 5)


class Prior(nn.Module, ABC):
    """A module that returns p(z) over `latent` variables, arranged in `subspaces`."""

    latent: int
    subspaces: tuple[slice, ...]

    @abstractmethod
    def forward(self) -> Distribution:
        """The prior p(z), with event shape (latent,)."""


@final
class StandardNormalPrior(Prior):
    """N(0, I), rotationally symmetric: every latent a subspace of its own by name only."""

    loc: Tensor
    std: Tensor

    def __init__(self, latent: int):
        super().__init__()
        self.latent = latent
        self.subspaces = tuple(slice(i, i + 1) for i in range(latent))
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("std", torch.ones(latent), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Normal(self.loc, self.std, validate_args=False), 1)


@final
class LpNestedPrior(Prior):
    """An Lp-nested prior with fixed exponents (Eqs. 7, 11); an ISA layout is a tree of depth two.

    Args:
        tree: layout and exponents.
        scale: s of Eq. 11; 1 as published, or "standardised" for a mean leaf variance of 1.
    """

    exponents: Tensor
    scale: Tensor

    def __init__(self, tree: LpTree, scale: float | Literal["standardised"] = 1.0):
        super().__init__()
        self.tree = tree
        self.latent = tree.n
        self.subspaces = tree.subspaces
        fixed = LpNested.standardised(tree).scale if scale == "standardised" else scale
        self.register_buffer("exponents", torch.tensor(tree.exponents), persistent=False)
        self.register_buffer("scale", torch.as_tensor(fixed, dtype=torch.float32), persistent=False)

    def forward(self) -> Distribution:
        return LpNested(self.tree, self.scale, self.exponents, validate_args=False)


def build_prior(
    layout: str, latent: int | None = None, scale: float | Literal["standardised"] = 1.0
) -> Prior:
    """A prior from its text: `normal`, `isa` (the paper's 5×4 layout), or a tree.

    Args:
        layout: "normal", "isa", or the text form of an `LpTree`, e.g. "2.1[2.2*4, 2.2*4]".
        latent: number of latents; may be left out where the layout determines it. Default 20.
        scale: s of Eq. 11, or "standardised".

    Raises:
        ValueError: for text that is no tree, or a width that does not fit the tree.

    >>> build_prior("2.1[2.2*4, 2.2*3]").subspaces
    (slice(0, 4, None), slice(4, 7, None))
    """
    if layout == "normal":
        return StandardNormalPrior(latent or PAPER_LAYOUT.n)
    tree = PAPER_LAYOUT if layout == "isa" else LpTree.parse(layout)
    if latent not in (None, tree.n):
        raise ValueError(
            f"the number of latents must be the tree's number of leaves, {tree.n} for {tree}; "
            f"got {latent}: leave latent out or change the tree"
        )
    return LpNestedPrior(tree, scale)
