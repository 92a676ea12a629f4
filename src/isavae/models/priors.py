"""Priors as modules whose `forward()` returns p(z), so that exponents and scales may be learned."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma, Independent, Laplace, Normal, StudentT

from isavae.distributions import GeneralizedNormal, LpNested, LpTree
from isavae.models.bounded import BoundedValues, bounded_values

Scale = float | Literal["standardised"]

# The tree of the prior `isa`: five subspaces of four latents, with the exponents of the paper.
PAPER_TREE = LpTree.isa(2.1, [(2.2, 4)] * 5)
# Learned exponents start from those of the normal distribution.
LEARNED_TREE = LpTree.isa(2.1, [(2.0, 4)] * 5)
# Latents and levels of a prior, which keep its check below a second.
MOST_LATENTS, MOST_EXPONENTS, DEEPEST = 10_000, 20_000, 100
# Bounds of a learned scale.
_SCALE_BOUNDS = 1e-3, 1e3


class Prior(nn.Module, ABC):
    """A module that returns p(z), whose latents are grouped in `subspaces`.

    Whether its learned values are frozen is part of its state.

    Args:
        n_latents: Number of latents.
        subspaces: Latents of each subspace; by default every latent is one.
    """

    n_latents: int
    subspaces: tuple[slice, ...]
    frozen: Tensor

    def __init__(self, n_latents: int, subspaces: tuple[slice, ...] | None = None):
        super().__init__()
        self.n_latents = n_latents
        self.subspaces = subspaces or tuple(slice(j, j + 1) for j in range(n_latents))
        self.register_buffer("frozen", torch.tensor(False))
        self.register_load_state_dict_post_hook(_apply_frozen)

    @abstractmethod
    def forward(self) -> Distribution:
        """The prior p(z), with event shape (n_latents,)."""

    def learned_values(self) -> dict[str, Float[Tensor, ""]]:
        """The learned values by name, for the log."""
        return {}

    def freeze(self) -> None:
        """Stop learning. An optimiser does not change values without gradients by a single bit."""
        self.frozen.fill_(True)
        _apply_frozen(self)

    def unfreeze(self) -> None:
        """Resume learning."""
        self.frozen.fill_(False)
        _apply_frozen(self)


def _apply_frozen(prior: Prior, missing_and_unexpected_keys: object = None) -> None:
    prior.requires_grad_(not bool(prior.frozen))


@final
class _StudentT(StudentT):
    """Student's t distribution around 0, without the checks by which torch waits for a device."""

    def __init__(self, df: Tensor, scale: Tensor):
        self.df, self.loc, self.scale = df, torch.zeros_like(scale), scale
        # Chi2(df), which would make tensors of its constants.
        halves = df / 2, torch.full_like(df, 0.5)
        self._chi2 = Gamma(*halves, validate_args=False)  # pyrefly: ignore
        Distribution.__init__(self, df.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_StudentT":
        new = type(self).__new__(type(self)) if _instance is None else _instance
        return super().expand(batch_shape, new)

    @property
    def variance(self) -> Tensor:
        df = self.df
        finite = self.scale.square() * df / (df - 2)
        return torch.where(df > 2, finite, torch.where(df > 1, math.inf, math.nan))


# name -> (scales and shape parameter to distribution, default of the shape parameter)
FAMILIES: dict[str, tuple[Callable[[Tensor, float], Distribution], float]] = {
    "normal": (lambda s, _: Normal(torch.zeros_like(s), s, validate_args=False), 2.0),
    "laplace": (lambda s, _: Laplace(torch.zeros_like(s), s, validate_args=False), 1.0),
    "student-t": (lambda s, df: _StudentT(torch.full_like(s, df), s), 3.5),
    "gennorm": (
        lambda s, p: GeneralizedNormal(
            torch.zeros_like(s), s, torch.full_like(s, p), validate_args=False
        ),
        4.0,
    ),
}


@final
class FactorialPrior(Prior):
    """Independent latents of one family: normal, Laplace, Student-t or generalised normal (Eq. 5).

    Args:
        n_latents: Number of latents.
        family: A key of `FAMILIES`.
        shape: Degrees of freedom of "student-t", exponent of "gennorm"; None takes the default.
        scale: The family's own scale parameter, or "standardised" for unit variance.
        learn_scale: Whether the scale, common to all latents, is learned.

    Raises:
        ValueError: If it is standardised, and has no finite variance.

    Examples:
        >>> FactorialPrior(3, "laplace", scale="standardised")().variance.round(decimals=4)
        tensor([1., 1., 1.])
    """

    def __init__(
        self,
        n_latents: int,
        family: str,
        shape: float | None = None,
        scale: Scale = 1.0,
        learn_scale: bool = False,
    ):
        super().__init__(n_latents)
        self.family, self.shape = family, FAMILIES[family][1] if shape is None else shape
        if scale == "standardised":
            variance = self._distribution(torch.ones(())).variance
            if not bool(torch.isfinite(variance)):
                raise ValueError(
                    f"a standardised prior needs a finite variance; {family}({self.shape:g}) has "
                    "none: take more than 2 degrees of freedom"
                )
            scale = float(variance**-0.5)
        self._scale = BoundedValues(torch.tensor([float(scale)]), [learn_scale], *_SCALE_BOUNDS)

    def _distribution(self, scale: Tensor) -> Distribution:
        return FAMILIES[self.family][0](scale, self.shape)

    def forward(self) -> Distribution:
        return Independent(self._distribution(self._scale().expand(self.n_latents)), 1)

    def learned_values(self) -> dict[str, Float[Tensor, ""]]:
        return bounded_values({"prior_scale": self._scale})


@final
class LpNestedPrior(Prior):
    """An Lp-nested prior (Eqs. 7, 11); an ISA prior is a tree of depth two.

    Exponents are fixed, or learned by gradient within bounds, starting from those of the tree.

    Args:
        tree: Tree and exponents.
        scale: s of Eq. 11; 1 as published, or "standardised" for a mean leaf variance of 1.
        learn_exponents: Whether all exponents but p0, the root's, are learned.
        learn_p0: Whether p0 is learned.
        learn_scale: Whether s is learned.
        lowest_exponent: Lower bound of learned exponents.

    Raises:
        ValueError: If a standardised scale is to be learned beside the exponents.

    Examples:
        >>> LpNestedPrior(LpTree.parse("2.1[2*4, 2*4]"), learn_exponents=True).learned_values()
        {'p1': tensor(2.), 'p2': tensor(2.)}
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
        self._built: tuple[Tensor, Tensor, LpNested] | None = None
        if self._standardised and learn_scale:
            raise ValueError("a learned scale cannot stay standardised; drop one of the two")

    @property
    def exponents(self) -> Float[Tensor, " nodes"]:
        """One exponent per inner node in preorder."""
        return self._exponents()

    def forward(self) -> LpNested:
        exponents, scale = self.exponents, self._scale()
        if self._standardised:
            return LpNested.standardised(self.tree, exponents, validate_args=False)
        if self._built is None or self._built[0] is not exponents or self._built[1] is not scale:
            prior = LpNested(self.tree, scale[0], exponents, validate_args=False)
            # Learned values are new tensors at each call, and would keep the call's graph alive.
            if exponents.requires_grad or scale.requires_grad:
                return prior
            self._built = exponents, scale, prior
        return self._built[2]

    def learned_values(self) -> dict[str, Float[Tensor, ""]]:
        return bounded_values({"p": self._exponents, "prior_scale": self._scale})


def as_prior(prior: Prior | LpNested) -> Prior:
    """A prior as a module: a plain `LpNested` becomes one that learns nothing.

    Raises:
        TypeError: If it is neither.
        ValueError: If the distribution is a batch, is to be learned, or has a radial distribution.
    """
    if isinstance(prior, Prior):
        return prior
    if not isinstance(prior, LpNested):
        raise TypeError(
            "a prior must be an isavae.models.Prior or an isavae.LpNested; got "
            f"{type(prior).__name__}: write a Prior whose forward() returns the distribution, or "
            "take build_prior() of its text"
        )
    learned = prior.exponents.requires_grad or prior.scale.requires_grad
    if prior.batch_shape or prior.radial is not None or learned:
        raise ValueError(
            "a plain LpNested prior must be one distribution of Eq. 11 with fixed exponents; got "
            f"{prior}: take LpNestedPrior, which learns them, or write a Prior"
        )
    tree = LpTree(tuple(prior.exponents.tolist()), prior.tree.arities)
    return LpNestedPrior(tree, float(prior.scale))


def build_prior(
    prior: str,
    n_latents: int | None = None,
    scale: Scale = 1.0,
    *,
    learn_exponents: bool = False,
    learn_p0: bool = False,
    learn_scale: bool = False,
    lowest_exponent: float = 1.0,
) -> Prior:
    """A prior from its text: `normal`, `laplace`, `student-t(3.5)`, `gennorm(4)`, `isa`, or a tree.

    Args:
        prior: A family with or without its shape parameter in parentheses, "isa" (the paper's five
            subspaces of four; learned exponents start at 2), or a tree, e.g. "2.1[2.2*4, 2.2*4]".
        n_latents: Number of latents. A tree has its own; the default of a family is 20.
        scale: The family's scale, for a tree s of Eq. 11; or "standardised".
        learn_exponents: Learn a tree's exponents but p0.
        learn_p0: Learn a tree's p0.
        learn_scale: Learn the scale.
        lowest_exponent: Lower bound of learned exponents.

    Raises:
        ValueError: For text that is not a prior, or a number of latents that does not fit the tree.

    Examples:
        >>> build_prior("2.1[2.2*4, 2.2*3]").subspaces
        (slice(0, 4, None), slice(4, 7, None))
    """
    family = re.fullmatch(r"([a-z-]+)(?:\(([^()]*)\))?", prior)
    if family and prior != "isa":
        if learn_exponents or learn_p0:
            raise ValueError(
                f"exponents can be learned for a tree; got prior {prior!r}: write it as a tree, "
                "for example 2.1[2*4, 2*4]"
            )
        width = PAPER_TREE.n if n_latents is None else n_latents
        _check_size(width)
        return _build_factorial(family[1], family[2], width, scale, learn_scale)
    paper = LEARNED_TREE if learn_exponents else PAPER_TREE
    tree = paper if prior == "isa" else LpTree.parse(prior)
    _check_size(tree.n, tree)
    if n_latents not in (None, tree.n):
        raise ValueError(
            f"the number of latents must be the tree's number of leaves, {tree.n} for {tree}; "
            f"got {n_latents}: leave n_latents out or change the tree"
        )
    return LpNestedPrior(
        tree,
        scale,
        learn_exponents=learn_exponents,
        learn_p0=learn_p0,
        learn_scale=learn_scale,
        lowest_exponent=lowest_exponent,
    )


def _check_size(n_latents: int, tree: LpTree | None = None) -> None:
    """Check that a step over a prior takes seconds at most.

    Raises:
        ValueError: If it has too many latents, exponents or levels.
    """
    if n_latents > MOST_LATENTS:
        raise ValueError(
            f"a prior must have at most {MOST_LATENTS:,} latents; this one has {n_latents:,}: take "
            "fewer"
        )
    if tree and len(tree.exponents) > MOST_EXPONENTS:
        raise ValueError(
            f"the tree of a prior must have at most {MOST_EXPONENTS:,} exponents; this one has "
            f"{len(tree.exponents):,}: leave out nodes that have a single child"
        )
    unfinished: list[int] = []  # children to come of the nodes above, the nearest last
    for arity in tree.arities if tree else ():
        while unfinished and unfinished[-1] == 0:
            unfinished.pop()
        if unfinished:
            unfinished[-1] -= 1
        unfinished += [arity] if arity else []
        if len(unfinished) > DEEPEST:
            raise ValueError(
                f"the tree of a prior must have at most {DEEPEST} levels; this one has more: nest "
                "fewer nodes"
            )


def _build_factorial(
    family: str, shape: str | None, n_latents: int, scale: Scale, learn_scale: bool
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
    return FactorialPrior(n_latents, family, number, scale, learn_scale)
