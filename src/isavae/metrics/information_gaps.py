"""The mutual information gap and its relatives: functions of a latents x factors matrix."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.metrics.bins import binned_information, quantised_information
from isavae.metrics.codes import Codes
from isavae.metrics.mutual_information import Information, exact_information
from isavae.metrics.score import Score


def mig(codes: Codes, factors: Sequence[str] | None = None) -> Score:
    """Mutual information gap of the aggregate posterior, exact (Chen et al. 2018).

    MIG = 1/K sum_k (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k), j1 and j2 the latents most informative
    about v_k. Entropies are those of one-dimensional mixtures of all N posteriors: no sampling.

    Args:
        codes: Codes with posterior standard deviations.
        factors: Names; by default the grid's scored factors (dSprites: scale, orientation, posX and
            posY, as in the paper) or all factors that vary.

    Returns:
        A score in [0, 1], the gap of each factor in `per_factor`, I(z_j; v_k) in `information`.

    Raises:
        ValueError: If the codes are deterministic or have no factor that varies.

    Examples:
        >>> from isavae.data import FactorGrid
        >>> grid = FactorGrid(("x", "y"), (2, 2))
        >>> codes = Codes(torch.tensor(grid.labels_array()).float(), torch.full((4, 2), -5.0), grid)
        >>> print(f"{mig(codes).value:.4f}")
        1.0000
    """
    information = exact_information(codes, factors)
    return score_of_factors(gaps(information), information, information.exactness)


def binned_mig(codes: Codes, factors: Sequence[str] | None = None, bins: int = 20) -> Score:
    """MIG of the posterior means in equal bins (Locatello et al. 2019).

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
    """
    information = binned_information(codes, factors, bins)
    return score_of_factors(gaps(information), information, {"bins": bins})


def robust_mig(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 100, limit: float = 4.0
) -> Score:
    """RMIG of Do and Tran (2020), normalised: the MIG of z_j quantised on a fixed range.

    Args:
        codes: Codes; deterministic ones fall into one bin each.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
        limit: The bins divide [-limit, limit]; the outer ones are open.
    """
    information = quantised_information(codes, factors, bins, limit)
    return score_of_factors(gaps(information), information, {"bins": bins, "limit": limit})


def jemmig(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 100, limit: float = 4.0
) -> Score:
    """Normalised JEMMIG of Do and Tran (2020): a MIG that also wants latents free of other factors.

    1/K sum_k [1 - (H(z_j1, v_k) - I(z_j1; v_k) + I(z_j2; v_k)) / (H(v_k) + log bins)].

    Args:
        codes: Codes; deterministic ones fall into one bin each.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
        limit: The bins divide [-limit, limit]; the outer ones are open.
    """
    information = quantised_information(codes, factors, bins, limit)
    top = _top_two(information.mutual)
    assert information.conditional_entropies is not None
    best = information.mutual.argmax(dim=0, keepdim=True)
    conditional = information.conditional_entropies.gather(0, best)[0]
    raw = information.factor_entropies + conditional - (top[0] - top[1])
    largest = information.factor_entropies + math.log(bins)
    values = 1 - raw / largest
    return score_of_factors(values, information, {"bins": bins, "limit": limit})


def dci_mig(codes: Codes, factors: Sequence[str] | None = None) -> Score:
    """DCIMIG of Sepliarskaia et al. (2019): gaps between factors, the best latent of each factor.

    sum_k max_j g_jk / sum_k H(v_k), where g_jk = I(z_j; v_k) - max_{k' != k} I(z_j; v_k') if v_k is
    the factor that z_j is most informative about, else 0. Mutual information is exact.

    Args:
        codes: Codes with posterior standard deviations.
        factors: Names; by default the grid's scored factors.
    """
    information = exact_information(codes, factors)
    top = _top_two(information.mutual.T)
    best = information.mutual.argmax(dim=1, keepdim=True)
    gaps = torch.zeros_like(information.mutual).scatter_(1, best, (top[0] - top[1])[:, None])
    largest = gaps.max(dim=0).values
    return Score(
        value=float(largest.sum() / information.factor_entropies.sum()),
        per_factor=information.by_factor(largest / information.factor_entropies),
        parameters={"factors": information.factors, **information.exactness},
        information=information,
    )


def gaps(information: Information) -> Float[Tensor, "factors"]:
    """(I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k) (Chen et al. 2018); a missing second row is 0."""
    top = _top_two(information.mutual)
    return (top[0] - top[1]) / information.factor_entropies


def _top_two(values: Float[Tensor, "rows columns"]) -> Float[Tensor, "2 columns"]:
    """The two largest entries of every column; a zero stands in for a missing second."""
    if len(values) == 1:
        values = torch.nn.functional.pad(values, (0, 0, 0, 1))
    return torch.topk(values, 2, dim=0).values


def score_of_factors(
    values: Float[Tensor, "factors"],
    information: Information,
    parameters: Mapping[str, object],
    standard_error: float | None = None,
) -> Score:
    """The mean over factors of values that come from mutual information."""
    return Score(
        value=float(values.mean()),
        per_factor=information.by_factor(values),
        standard_error=standard_error,
        parameters={"factors": information.factors, **parameters},
        information=information,
    )
