"""Scores without labels: of one run's codes, and of its agreement with other runs."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isavae.metrics.bins import bin_means, pairwise_information
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.mutual_information import MIN_INFORMATION, latent_information
from isavae.metrics.predictors import lasso_coefficients
from isavae.metrics.score import Score


def active_units(codes: Codes, threshold: float = 0.01) -> Score:
    """Number of latents whose posterior mean has a variance above a threshold (Burda et al. 2016).

    Args:
        codes: The codes; only their means count.
        threshold: In the squared unit of the latents.

    Examples:
        >>> print(active_units(Codes(torch.tensor([[0.0, 1.0], [0.1, 3.0]]), None)).value)
        1.0
    """
    _check_many(codes)
    variances = codes.mean.double().var(dim=0)
    return Score(
        value=float((variances > threshold).sum()),
        terms={f"latent_{j}": v for j, v in enumerate(variances.tolist())},
        parameters={"threshold": threshold},
    )


def gaussian_total_correlation(codes: Codes) -> Score:
    """Total correlation, in nats, of a normal distribution with the means' covariance.

    As in Locatello et al. (2019): 1/2 (sum_j log C_jj - log det C); infinite if a latent is a
    linear function of the others. Constant latents are left out.
    """
    varying = _varying(codes)
    if varying.shape[1] < 2:
        return Score(value=0.0)
    spectrum = torch.linalg.eigvalsh(torch.corrcoef(varying.T))
    if spectrum[0] < len(spectrum) * torch.finfo(spectrum.dtype).eps:  # rounding of a zero
        note = "a latent is a linear function of the others"
        return Score(value=math.inf, parameters={"note": note})
    return Score(value=max(0.0, float(-0.5 * spectrum.log().sum())))  # rounding of a zero


def gaussian_wasserstein_correlation(codes: Codes) -> Score:
    """Squared Wasserstein-2 distance between the means' normal fit and its independent version.

    As in Locatello et al. (2019): 2 tr C - 2 tr (D^1/2 C D^1/2)^1/2 with D the diagonal of C;
    `normalised` divides by tr C.
    """
    covariance = torch.atleast_2d(torch.cov(_varying(codes).T))
    root = covariance.diagonal().sqrt()
    spectrum = torch.linalg.eigvalsh(root[:, None] * covariance * root).clamp_min(0)
    total = covariance.trace()
    distance = max(0.0, float(2 * total - 2 * spectrum.sqrt().sum()))  # rounding of a zero
    return Score(
        value=distance,
        terms={"normalised": distance / float(total) if total > 0 else 0.0},
    )


def latent_mutual_information(codes: Codes, bins: int = 20) -> Score:
    """Mean mutual information, in nats, of two different latents' binned means.

    As in Locatello et al. (2019).

    Args:
        codes: The codes; only their means count.
        bins: Number of equal bins between the least and largest mean of each latent.
    """
    _check_many(codes)
    pairs = pairwise_information(bin_means(codes.mean, bins), bins).fill_diagonal_(0)
    count = max(1, codes.latents * (codes.latents - 1))
    return Score(value=float(pairs.sum() / count), parameters={"bins": bins})


def udr(
    codes: Codes,
    others: Sequence[Codes],
    rule: str = "lasso",
    images: int = 1000,
    threshold: float = MIN_INFORMATION,
    seed: int = 0,
) -> Score:
    """Unsupervised disentanglement ranking of one run among others (Duan et al. 2020).

    Median over the other runs of the relative strength of the latents x latents matrix R of
    similarities: mean over rows of max^2 / sum, and over columns, averaged. Only informative
    latents count: those with I(x; z_j) > threshold nats (for any prior; the published code compares
    KL(q(z_j|x) || N(0, 1)) with 0.01), or, of deterministic codes, those that vary.

    Args:
        codes: Codes of the run.
        others: Codes of the same images by other runs: same data and configuration, other seeds.
        rule: What similarity is. `lasso`: |coefficients| (penalty 0.1) that predict this run's
            standardised latents from the other's; `spearman`: |rank correlation|.
        images: How many images to use.
        threshold: Least information of a latent, in nats.
        seed: Seed of the choice of images.

    Raises:
        ValueError: If there is no other run, an unknown rule, or runs of different images.
    """
    return _udr([codes, *others], 1, rule, images, threshold, seed)[0]


def udr_ranking(
    runs: Sequence[Codes],
    rule: str = "lasso",
    images: int = 1000,
    threshold: float = MIN_INFORMATION,
    seed: int = 0,
) -> list[Score]:
    """The `udr` of every run among the others; the run with the highest is the one to choose.

    Args:
        runs: Codes of the same images by two or more runs.
        rule: See `udr`.
        images: See `udr`.
        threshold: See `udr`.
        seed: See `udr`.

    Raises:
        ValueError: If there is one run only, an unknown rule, or runs of different images.
    """
    return _udr(runs, len(runs), rule, images, threshold, seed)


def _udr(
    runs: Sequence[Codes], ranked: int, rule: str, images: int, threshold: float, seed: int
) -> list[Score]:
    """Scores of the first `ranked` runs, each among all others."""
    if rule not in ("lasso", "spearman"):
        raise ValueError(f"The rule must be 'lasso' or 'spearman', but is {rule!r}.")
    _check_same_images(runs)
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(runs[0]))[:images])
    active = [informative(run, threshold) for run in runs]
    z = [run.mean[rows].double() * a for run, a in zip(runs, active, strict=True)]
    parameters = {
        "rule": rule,
        "images": len(rows),
        "threshold": threshold,
        "runs": len(runs),
        "seed": seed,
    }
    scores = []
    for i in range(ranked):
        others = [j for j in range(len(runs)) if j != i]
        strengths = [
            relative_strength(_similarity(rule, z[j], z[i])[active[j]][:, active[i]])
            for j in others
        ]
        terms = {f"run_{n}": strength for n, strength in enumerate(strengths)}
        scores.append(Score(float(np.median(strengths)), terms=terms, parameters=parameters))
    return scores


def _similarity(
    rule: str, theirs: Float[Tensor, "n left"], mine: Float[Tensor, "n right"]
) -> Float[Tensor, "left right"]:
    if rule == "spearman":
        return spearman(theirs, mine)
    return torch.from_numpy(lasso_coefficients(theirs.numpy(), mine.numpy(), alpha=0.1))


def agreement(codes: Codes, others: Sequence[Codes], threshold: float = MIN_INFORMATION) -> Score:
    """Mean |Spearman correlation| of latents matched one to one with those of other runs.

    Informative latents of two runs are matched so that the sum is largest; the sum is divided by
    the larger of their numbers, so that a latent without a partner counts as zero.

    Args:
        codes: Codes of the run.
        others: Codes of the same images by other runs.
        threshold: Least information I(x; z_j) of a latent, in nats.
    """
    from scipy.stats import sem

    _check_same_images([codes, *others])
    used = int(informative(codes, threshold).sum())
    values = []
    for other in others:
        most = max(1, used, int(informative(other, threshold).sum()))
        values.append(float(partner_correlations(codes, other, threshold).sum() / most))
    return Score(
        value=float(np.mean(values)),
        standard_error=float(sem(values)) if len(values) > 1 else None,
        terms={f"run_{i}": value for i, value in enumerate(values)},
        parameters={"threshold": threshold, "runs": len(others) + 1},
    )


def partner_correlations(
    codes: Codes, other: Codes, threshold: float = MIN_INFORMATION
) -> Float[np.ndarray, "latents"]:
    """|Spearman correlation| of every latent with its partner in another run; 0 without one.

    The latents in use in both are matched one to one so that the sum is largest.

    Args:
        codes: Codes of the run.
        other: Codes of the same images by the other run.
        threshold: Least information I(x; z_j) of a latent in use, in nats.
    """
    from scipy.optimize import linear_sum_assignment

    mine, theirs = (informative(each, threshold).numpy() for each in (codes, other))
    similarity = spearman(codes.mean[:, mine], other.mean[:, theirs]).numpy()
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    found = np.zeros(len(mine))
    found[np.flatnonzero(mine)[rows]] = similarity[rows, columns]
    return found


def informative(codes: Codes, threshold: float = MIN_INFORMATION) -> Bool[Tensor, "latents"]:
    """Latents in use: those with I(x; z_j) above a threshold in nats.

    Of deterministic codes, the latents that vary.

    Args:
        codes: The codes.
        threshold: In nats.
    """
    if codes.log_std is None:
        return codes.mean.max(dim=0).values > codes.mean.min(dim=0).values
    return latent_information(codes) > threshold


def relative_strength(similarity: Float[Tensor, "rows columns"]) -> float:
    """Mean of max^2 / sum over rows and over columns (Duan et al. 2020); those of zeros count 0."""
    if similarity.numel() == 0:
        return 0.0
    sides = []
    for matrix in (similarity, similarity.T):
        total = matrix.sum(dim=1)
        sides.append((matrix.amax(dim=1).square() / torch.where(total > 0, total, 1.0)).mean())
    return float(sum(sides) / 2)


def spearman(
    x: Float[Tensor, "n left"], y: Float[Tensor, "n right"]
) -> Float[Tensor, "left right"]:
    """|Spearman correlation| of every pair of columns; 0 for constant columns, NaN for NaN.

    Args:
        x: Values by row, (n, left).
        y: Other values of the same rows, (n, right).
    """
    from scipy.stats import rankdata

    def standardised_ranks(values: Tensor) -> Tensor:
        ranks = torch.from_numpy(rankdata(values.detach().numpy(), axis=0))
        ranks = ranks - (len(ranks) + 1) / 2
        return ranks / torch.where(ranks.any(dim=0), ranks.norm(dim=0), 1.0)

    return (standardised_ranks(x).T @ standardised_ranks(y)).abs().clamp_max(1.0)


def _varying(codes: Codes) -> Float[Tensor, "n active"]:
    """The means of the latents that vary."""
    _check_many(codes)
    return codes.mean[:, informative(Codes(codes.mean))].double()


def _check_many(codes: Codes) -> None:
    if len(codes) < 2:
        raise NotApplicable(
            f"This score needs the codes of two or more images, but there are {len(codes)}: one "
            "image shows no variation."
        )


def _check_same_images(runs: Sequence[Codes]) -> None:
    _check_many(runs[0])
    first, *others = [len(run) for run in runs]
    if set(others) != {first}:
        raise ValueError(
            f"Agreement needs other runs' codes of the same {first} images, "
            f"but got runs of {others} images: encode the same data set with every run."
        )
