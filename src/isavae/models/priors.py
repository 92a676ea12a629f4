"""Priors as modules whose `forward()` returns p(z), so that exponents and scales may be learned."""

import math
import re
from collections.abc import Callable
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal, StudentT

from isavae.distributions import GeneralizedNormal, LpNested, LpTree
from isavae.models.prior import BoundedValues, Prior, learned_readings

Scale = float | Literal["standardised"]

PAPER_LAYOUT = LpTree.isa(2.1, [(2.2, 4)] * 5)
# Learned exponents start from the normal law's.
LEARNED_LAYOUT = LpTree.isa(2.1, [(2.0, 4)] * 5)
# Of a learned scale.
_SCALE_BOUNDS = 1e-3, 1e3


@final
class StandardNormalPrior(Prior):
    """N(0, I), rotationally symmetric: every latent a subspace of its own by name only."""

    loc: Tensor
    std: Tensor

    def __init__(self, latent: int):
        super().__init__(latent)
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("std", torch.ones(latent), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Normal(self.loc, self.std, validate_args=False), 1)


# name -> (the law for scales and a shape parameter, the shape parameter's default)
FAMILIES: dict[str, tuple[Callable[[Tensor, float], Distribution], float]] = {
    "normal": (lambda s, _: Normal(torch.zeros_like(s), s, validate_args=False), 2.0),
    "laplace": (lambda s, _: Laplace(torch.zeros_like(s), s, validate_args=False), 1.0),
    "student-t": (lambda s, df: StudentT(df, torch.zeros_like(s), s, validate_args=False), 3.5),
    "gennorm": (lambda s, p: GeneralizedNormal(p, s, validate_args=False), 4.0),
}


@final
class FactorialPrior(Prior):
    """Independent latents of one family: normal, Laplace, Student-t or generalised normal (Eq. 5).

    Args:
        latent: number of latents.
        family: a key of `FAMILIES`.
        shape: degrees of freedom of "student-t", exponent of "gennorm"; None takes the default.
        scale: the family's own scale parameter, or "standardised" for unit variance.
        learn_scale: whether the scale, common to all latents, is learned.

    >>> FactorialPrior(3, "laplace", scale="standardised")().variance.round(decimals=4)
    tensor([1., 1., 1.])
    """

    def __init__(
        self,
        latent: int,
        family: str,
        shape: float | None = None,
        scale: Scale = 1.0,
        learn_scale: bool = False,
    ):
        super().__init__(latent)
        self.family, self.shape = family, FAMILIES[family][1] if shape is None else shape
        if scale == "standardised":
            variance = self._law(torch.ones(())).variance
            if not bool(torch.isfinite(variance)):
                raise ValueError(
                    f"a standardised prior needs a finite variance; {family}({self.shape:g}) has "
                    "none: take more than 2 degrees of freedom"
                )
            scale = float(variance**-0.5)
        self._scale = BoundedValues(torch.tensor([float(scale)]), [learn_scale], *_SCALE_BOUNDS)

    def _law(self, scale: Tensor) -> Distribution:
        return FAMILIES[self.family][0](scale, self.shape)

    def forward(self) -> Distribution:
        return Independent(self._law(self._scale().expand(self.latent)), 1)

    def readings(self) -> dict[str, Float[Tensor, ""]]:
        return learned_readings({"prior_scale": self._scale})


@final
class LpNestedPrior(Prior):
    """An Lp-nested prior (Eqs. 7, 11); an ISA layout is a tree of depth two.

    Exponents are fixed, or learned by gradient from those of the tree, between bounds.

    Args:
        tree: layout and exponents.
        scale: s of Eq. 11; 1 as published, or "standardised" for a mean leaf variance of 1.
        learn_exponents: whether all exponents but p0, the root's, are learned.
        learn_p0: whether p0 is learned.
        learn_scale: whether s is learned.
        lowest_exponent: lower bound of learned exponents.

    >>> prior = LpNestedPrior(LpTree.parse("2.1[2*4, 2*4]"), learn_exponents=True)
    >>> {name: round(float(exponent), 4) for name, exponent in prior.readings().items()}
    {'p1': 2.0, 'p2': 2.0}
    """

    def __init__(
        self,
        tree: LpTree,
        scale: Scale = 1.0,
        *,
        learn_exponents: bool = False,
        learn_p0: bool = False,
        learn_scale: bool = False,
        lowest_exponent: float = 1.0,
    ):
        super().__init__(tree.n, tree.subspaces)
        self.tree = tree
        learned = [learn_p0, *[learn_exponents] * (len(tree.exponents) - 1)]
        self._exponents = BoundedValues(torch.tensor(tree.exponents), learned, lowest_exponent)
        # A standardised scale follows the exponents.
        self._standardised = scale == "standardised" and any(learned)
        start = LpNested.standardised(tree).scale if scale == "standardised" else scale
        self._scale = BoundedValues(torch.tensor([float(start)]), [learn_scale], *_SCALE_BOUNDS)
        if self._standardised and learn_scale:
            raise ValueError("a learned scale cannot stay standardised; drop one of the two")

    @property
    def exponents(self) -> Float[Tensor, " nodes"]:
        """One exponent per inner node in preorder."""
        return self._exponents()

    @property
    def scale(self) -> Float[Tensor, ""]:
        """The scale s of Eq. 11."""
        return self().scale

    def forward(self) -> LpNested:
        if self._standardised:
            return LpNested.standardised(self.tree, self.exponents, validate_args=False)
        return LpNested(self.tree, self._scale()[0], self.exponents, validate_args=False)

    def readings(self) -> dict[str, Float[Tensor, ""]]:
        return learned_readings({"p": self._exponents, "prior_scale": self._scale})


def build_prior(
    layout: str,
    latent: int | None = None,
    scale: Scale = 1.0,
    *,
    learn_exponents: bool = False,
    learn_p0: bool = False,
    learn_scale: bool = False,
    lowest_exponent: float = 1.0,
) -> Prior:
    """A prior from its text: `normal`, `laplace`, `student-t(3.5)`, `gennorm(4)`, `isa`, or a tree.

    Args:
        layout: a family with or without its shape parameter in parentheses, "isa" (the paper's 5×4
            layout; learned exponents start at 2), or an `LpTree`, e.g. "2.1[2.2*4, 2.2*4]".
        latent: number of latents; may be left out where the layout determines it. Default 20.
        scale: the family's scale, for a tree s of Eq. 11; or "standardised".
        learn_exponents: learn a tree's exponents but p0.
        learn_p0: learn a tree's p0.
        learn_scale: learn the scale.
        lowest_exponent: lower bound of learned exponents.

    Raises:
        ValueError: for text that is no prior, or a width that does not fit the tree.

    >>> build_prior("2.1[2.2*4, 2.2*3]").subspaces
    (slice(0, 4, None), slice(4, 7, None))
    """
    family = re.fullmatch(r"([a-z-]+)(?:\(([^()]*)\))?", layout)
    if family and layout != "isa":
        if learn_exponents or learn_p0:
            raise ValueError(
                f"exponents can be learned for a tree; got prior {layout!r}: write it as a tree, "
                "for example 2.1[2*4, 2*4]"
            )
        width = PAPER_LAYOUT.n if latent is None else latent
        return _build_factorial(family[1], family[2], width, scale, learn_scale)
    paper = LEARNED_LAYOUT if learn_exponents else PAPER_LAYOUT
    tree = paper if layout == "isa" else LpTree.parse(layout)
    if latent not in (None, tree.n):
        raise ValueError(
            f"the number of latents must be the tree's number of leaves, {tree.n} for {tree}; "
            f"got {latent}: leave latent out or change the tree"
        )
    return LpNestedPrior(
        tree,
        scale,
        learn_exponents=learn_exponents,
        learn_p0=learn_p0,
        learn_scale=learn_scale,
        lowest_exponent=lowest_exponent,
    )


def _build_factorial(
    family: str, shape: str | None, latent: int, scale: Scale, learn_scale: bool
) -> Prior:
    if family not in FAMILIES:
        raise ValueError(
            f"a prior must be isa, one of {', '.join(FAMILIES)}, or a tree such as "
            f"2.1[2.2*4, 2.2*4]; got {family!r}"
        )
    try:
        number = None if shape is None else float(shape)
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise ValueError(f"the shape of {family} must be a positive number; got {shape!r}")
    if family == "normal" and scale in (1.0, "standardised") and not learn_scale:
        return StandardNormalPrior(latent)
    return FactorialPrior(latent, family, number, scale, learn_scale)
