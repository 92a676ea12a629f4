"""From an estimator's arguments to a tree, a likelihood and an objective."""

from collections.abc import Sequence

from torch import Tensor

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
