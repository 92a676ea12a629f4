"""What an estimator's arguments mean: the tree, the likelihood and the objective."""

from collections.abc import Sequence

from torch import Tensor

from isavae.distributions import LpTree
from isavae.models import BetaTCVAE, BetaVAE, Objective

WEIGHTED_BY_BETA = {"beta-vae": BetaVAE, "beta-tcvae": BetaTCVAE}


def tree_of(subspaces: Sequence[int], p0: float, p: float | Sequence[float]) -> LpTree:
    """The prior's layout and exponents.

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
    """The likelihood's name; what "auto" means depends on whether all values lie in [0, 1]."""
    if likelihood != "auto":
        return likelihood
    return "bernoulli" if bool(((rows >= 0) & (rows <= 1)).all()) else "gaussian"


def objective_of(objective: str | Objective, beta: float) -> Objective:
    """The objective of that name with β, or the object as it is."""
    if isinstance(objective, Objective):
        return objective
    if objective not in WEIGHTED_BY_BETA:
        raise ValueError(
            f"an objective must be one of {', '.join(WEIGHTED_BY_BETA)}, or an object such as "
            f"FactorVAE(gamma=6.0) from isavae.models; got {objective!r}"
        )
    return WEIGHTED_BY_BETA[objective](beta=beta)
