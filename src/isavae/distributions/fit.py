"""Maximum likelihood for Lp-nested distributions: exponents, scale and tree."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.distributions.lp_nested import LpNested
from isavae.distributions.tree import LpTree

# Where the search for an exponent ends. Exact zeros draw exponents below it: with a share q of
# zeros the likelihood of a generalised normal grows like exp(-log(1 - q)/p) as p goes to 0.
_SMALLEST_EXPONENT = 0.01


@final
@dataclass(frozen=True)
class Fit:
    """A distribution fitted to samples, with the standard errors of its parameters.

    Attributes:
        distribution: The maximum-likelihood distribution of Eq. 11, in float64.
        log_likelihoods: Log-likelihood of every sample, in nats.
        exponent_errors: Standard errors of the exponents; NaN for those that were not fitted.
        scale_error: Standard error of the scale.
        n_parameters: Number of fitted parameters.
    """

    distribution: LpNested
    log_likelihoods: Float[Tensor, " samples"]
    exponent_errors: Float[Tensor, " nodes"]
    scale_error: float
    n_parameters: int

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of all samples, in nats."""
        return float(self.log_likelihoods.sum())

    @property
    def bic(self) -> float:
        """Bayesian information criterion, in nats: lower is better."""
        return self.n_parameters / 2 * math.log(len(self.log_likelihoods)) - self.log_likelihood


@final
@dataclass(frozen=True)
class Comparison:
    """A fitted tree compared with the best one.

    Attributes:
        fit: The fitted tree.
        nats_behind: Log-likelihood ratio of the best tree to this one, both at their maxima.
        standard_error: Standard error of `nats_behind` over samples (Vuong 1989).
    """

    fit: Fit
    nats_behind: float
    standard_error: float


def fit_lp_nested(
    z: Float[Tensor, "samples n"],
    tree: LpTree | str,
    fixed: Sequence[int] = (),
    steps: int = 200,
) -> Fit:
    """Maximise the likelihood of Eq. 11 over exponents and scale.

    For given exponents the best scale is s = p0/n · mean f^p0, so only the exponents are searched,
    by L-BFGS on their logarithms. Standard errors are those of the observed information. The
    exponent of a node with a single child, other than the root, has no effect and is not fitted.

    Args:
        z: Samples.
        tree: The tree, with the exponents to start from.
        fixed: Positions, in preorder, of exponents that are not fitted.
        steps: Maximum number of L-BFGS steps.

    Raises:
        ValueError: If the samples do not fit the tree, are not finite, hold a constant column, are
            not more than the parameters, hold so many exact zeros that the likelihood has no
            maximum, or if an exponent is to be below 0.01, from the start or in the end.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> codes = LpNested("2[1*2, 4*2]", 1.5).sample((20_000,))
        >>> found = fit_lp_nested(codes, "2[2*2, 2*2]")
        >>> [round(p, 1) for p in found.distribution.exponents.tolist()]
        [2.0, 1.0, 4.1]
    """
    tree = LpTree.parse(tree) if isinstance(tree, str) else tree
    free = _free_exponents(tree, fixed)
    start = torch.tensor(tree.exponents, dtype=torch.float64)
    _check_samples(z, tree, int(free.sum()) + 1)
    _check_start(tree, start[free])
    z = z.detach().to("cpu", torch.float64)
    found = _best_exponents(z, tree, start, free, steps)
    _check_maximum(z, tree, found)
    exponents = start.masked_scatter(free, found)
    scale = _best_scale(z, tree, exponents)
    errors = _standard_errors(z, tree, exponents, scale, free)
    distribution = LpNested(tree, scale, exponents)
    exponent_errors = torch.full_like(start, math.nan).masked_scatter(free, errors[:-1])
    return Fit(
        distribution, distribution.log_prob(z), exponent_errors, float(errors[-1]), len(errors)
    )


def _best_exponents(
    z: Tensor, tree: LpTree, start: Tensor, free: Tensor, steps: int
) -> Float[Tensor, " free"]:
    """The free exponents of the highest likelihood; NaN or below the smallest if the search fails.

    The likelihood is not evaluated below the smallest exponent, where it would overflow.
    """
    logs = start[free].log().requires_grad_()
    search = torch.optim.LBFGS(
        [logs], max_iter=steps, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        exponents = start.masked_scatter(free, logs.exp().clamp_min(_SMALLEST_EXPONENT))
        value = -_distribution(tree, exponents, _best_scale(z, tree, exponents)).log_prob(z).mean()
        value.backward()
        return value

    if len(logs):
        search.step(loss)
    return logs.detach().exp()


def compare_trees(
    z: Float[Tensor, "samples n"], trees: Iterable[LpTree | str]
) -> tuple[Comparison, ...]:
    """Fit every tree to the same samples; the best comes first.

    Args:
        z: The samples, one row each.
        trees: Trees over as many leaves as the samples have columns.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> codes = LpNested("2[1*2, 1*2]").sample((5_000,))
        >>> best, other = compare_trees(codes, ["2[2*3, z]", "2[2*2, 2*2]"])
        >>> str(best.fit.distribution.tree), other.nats_behind > 3 * other.standard_error
        ('2[2*2, 2*2]', True)
    """
    fits = sorted(
        (fit_lp_nested(z, tree) for tree in trees), key=lambda f: f.log_likelihood, reverse=True
    )
    comparisons = []
    for candidate in fits:
        behind = fits[0].log_likelihoods - candidate.log_likelihoods
        error = float(behind.std()) * len(behind) ** 0.5
        comparisons.append(Comparison(candidate, float(behind.sum()), error))
    return tuple(comparisons)


def likelihood_ratio_p_value(restricted: Fit, general: Fit) -> float:
    """Wilks' test (1938) of a fit against a more general one, as with fewer exponents fixed.

    Args:
        restricted: The fit of the null hypothesis.
        general: A fit of the same samples that contains it.

    Raises:
        ValueError: If the general fit has not more parameters, or not the same number of samples.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> codes = torch.randn(1_000, 3)
        >>> normal = fit_lp_nested(codes, "2*3", fixed=[0])
        >>> likelihood_ratio_p_value(normal, fit_lp_nested(codes, "2*3")) > 0.01
        True
    """
    freedom = general.n_parameters - restricted.n_parameters
    samples = len(restricted.log_likelihoods), len(general.log_likelihoods)
    if freedom <= 0 or samples[0] != samples[1]:
        raise ValueError(
            "The general fit must have more parameters and the same samples, not "
            f"{freedom} more and {samples[1]} for {samples[0]} samples: fix fewer exponents in it."
        )
    ratio = max(general.log_likelihood - restricted.log_likelihood, 0.0)
    return float(torch.special.gammaincc(torch.tensor(freedom / 2), torch.tensor(ratio)))


def _distribution(tree: LpTree, exponents: Tensor, scale: Tensor) -> LpNested:
    return LpNested(tree, scale, exponents, validate_args=False)


def _best_scale(z: Tensor, tree: LpTree, exponents: Tensor) -> Tensor:
    radii = _distribution(tree, exponents, exponents.new_ones(())).norm(z)
    # The power of a sample at 0 does not count; the clamp keeps its gradient finite.
    log_powers = exponents[0] * radii.clamp_min(torch.finfo(z.dtype).tiny).log()
    mean = torch.logsumexp(log_powers, 0) - math.log(len(z))
    return exponents[0] / tree.n * mean.exp()


def _standard_errors(
    z: Tensor, tree: LpTree, exponents: Tensor, scale: Tensor, free: Tensor
) -> Tensor:
    """Standard errors of the free exponents and the scale, from the observed information."""

    def loss(parameters: Tensor) -> Tensor:
        moved = exponents.masked_scatter(free, parameters[:-1])
        return -_distribution(tree, moved, parameters[-1].exp()).log_prob(z).sum()

    # By the logarithm of the scale, which may be of any order of magnitude.
    found = torch.cat([exponents[free], scale.log()[None]])
    information = torch.autograd.functional.hessian(loss, found)
    errors = torch.linalg.pinv(information, hermitian=True).diagonal().clamp_min(0).sqrt()
    errors[-1] *= scale
    return errors


def _free_exponents(tree: LpTree, fixed: Sequence[int]) -> Tensor:
    arities = [tree.arities[position] for position in tree.inner]
    if not set(fixed) <= set(range(len(arities))):
        raise ValueError(
            f"Fixed exponents must be positions below {len(arities)}, not {list(fixed)}: count the "
            "inner nodes in preorder from 0."
        )
    counts = [i not in fixed and (i == 0 or arity > 1) for i, arity in enumerate(arities)]
    return torch.tensor(counts)


def _check_start(tree: LpTree, exponents: Tensor) -> None:
    if bool((exponents < _SMALLEST_EXPONENT).any()):
        raise ValueError(
            f"Exponents that are fitted must start from {_SMALLEST_EXPONENT} or more, but one of "
            f"{tree} is {float(exponents.min()):g}: start from 2, or fix it."
        )


def _check_maximum(z: Tensor, tree: LpTree, exponents: Tensor) -> None:
    """Check that a search has ended at a maximum, by the exponents that it found."""
    if not bool(exponents.isfinite().all()):
        raise ValueError(
            f"The search must start from exponents near those of the samples, not from {tree}, "
            "where it diverged: start from 2."
        )
    if not bool((exponents < _SMALLEST_EXPONENT).any()):
        return
    zeros = int((z == 0).any(1).sum())
    raise ValueError(
        "The likelihood must have a maximum, but it grows as an exponent goes to 0, as exact "
        f"zeros make it, which {zeros} of {len(z)} samples hold: leave those samples out, or "
        "add noise to the zeros."
        if zeros
        else "The samples must have an exponent of "
        f"{_SMALLEST_EXPONENT} or more, but theirs is smaller, as they span too many orders of "
        "magnitude: take their logarithms or roots."
    )


def _check_samples(z: Tensor, tree: LpTree, n_parameters: int) -> None:
    if z.dim() != 2 or z.shape[1] != tree.n:
        raise ValueError(
            f"Samples must have the shape (samples, {tree.n}) of the tree {tree}, not "
            f"{tuple(z.shape)}: fit the tree to the latents."
        )
    if len(z) <= n_parameters:
        raise ValueError(
            f"There must be more samples than parameters, {n_parameters}, not {len(z)}: fix some "
            "exponents or bring more samples."
        )
    if not bool(z.isfinite().all()):
        wrong = int((~z.isfinite()).any(1).sum())
        raise ValueError(
            f"Samples must be finite, but {wrong} of {len(z)} hold NaN or infinity: leave those "
            "out."
        )
    constant = (z == z[0]).all(0).nonzero().flatten().tolist()
    if constant:
        raise ValueError(
            f"Every column must vary, but columns {constant} are constant: no density fits them, "
            "leave them out of the samples and of the tree."
        )
