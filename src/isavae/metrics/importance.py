"""How concentrated the rows and columns of a latents x factors matrix of importances are."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.metrics.bins import binned_information
from isavae.metrics.codes import Codes
from isavae.metrics.mutual_information import exact_information
from isavae.metrics.score import Score


def disentanglement(importance: Float[Tensor, "latents factors"]) -> float:
    """How far each latent encodes one factor only (Eastwood and Williams 2018).

    sum_j w_j (1 - H(p_j) / log K), p_j the row's shares, w_j the row's share of the whole matrix.

    Raises:
        ValueError: If an importance is negative, infinite or NaN.

    Examples:
        >>> disentanglement(torch.eye(3)), disentanglement(torch.ones(3, 3))
        (1.0, 0.0)
    """
    if not bool(((importance >= 0) & importance.isfinite()).all()):
        raise ValueError(
            "Importances must be finite and 0 or more, but some are not: leave out the latents or "
            "factors without a number, and take absolute values."
        )
    total = importance.sum(dim=1, keepdim=True)
    if not total.sum() > 0:
        return 0.0
    shares = importance / torch.where(total > 0, total, 1.0)
    factors = torch.tensor(float(max(2, importance.shape[1])))  # one factor: every entropy is zero
    purity = 1 - torch.special.entr(shares).sum(dim=1) / factors.log()
    return float((purity * total[:, 0]).sum() / total.sum())


def completeness(importance: Float[Tensor, "latents factors"]) -> float:
    """How far one latent captures a factor: the `disentanglement` of the transpose."""
    return disentanglement(importance.T)


def med(codes: Codes, factors: Sequence[str] | None = None, bins: int = 20, top: int = 0) -> Score:
    """MED of Cao et al. (2022): DCI's disentanglement with mutual information as the importance.

    The importance of latent j for factor k is I(z_j; v_k) / H(v_k) of the binned means.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
        top: Keep only latents that are among the `top` best of some factor (top-k MED, for wide
            codes); 0 keeps all.
    """
    information = binned_information(codes, factors, bins)
    importance = information.normalized
    if 0 < top < codes.latents:
        kept = importance.topk(top, dim=0).indices.unique()
        importance = importance[kept]
    return Score(
        value=disentanglement(importance),
        terms={"completeness": completeness(importance)},
        parameters={"factors": information.factors, "bins": bins, "top": top},
        information=information,
    )


def modularity(codes: Codes, factors: Sequence[str] | None = None, bins: int = 20) -> Score:
    """Modularity of Ridgeway and Mozer (2018), on binned means as in Locatello et al. (2019).

    Mean over latents of 1 - sum_{k != k*} I_jk^2 / (I_jk*^2 (K - 1)), k* the factor that latent j
    is most informative about; a latent without information counts 0. `active` is the same mean
    weighted by I_jk*, so that pruned latents, whose tiny informations are noise, do not count.

    Args:
        codes: Codes; only their means count.
        factors: Names of two or more; by default the grid's scored factors.
        bins: Number of bins for each latent.
    """
    information = binned_information(codes, factors, bins)
    squares = information.mutual.square()
    largest, others = squares.max(dim=1).values, max(1, squares.shape[1] - 1)
    deviation = (squares.sum(dim=1) - largest) / (torch.where(largest > 0, largest, 1.0) * others)
    per_latent = torch.where(largest > 0, 1 - deviation, 0.0)
    weights = largest.sqrt()
    active = (per_latent * weights).sum() / weights.sum().clamp_min(torch.finfo().tiny)
    return Score(
        value=float(per_latent.mean()),
        terms={"active": float(active)},
        parameters={"factors": information.factors, "bins": bins},
        information=information,
    )


def mig_sup(codes: Codes, factors: Sequence[str] | None = None) -> Score:
    """MIG-sup of Li et al. (2020): the gap between factors, averaged over latents.

    1/J sum_j (R_jk* - R_jk') with R = I(z_j; v_k) / H(v_k) exact, k* and k' latent j's two best
    factors, over the latents with more than 0.01 of some factor.

    Args:
        codes: Codes with posterior standard deviations.
        factors: Names of two or more; by default the grid's scored factors.
    """
    information = exact_information(codes, factors)
    shares = torch.nn.functional.pad(information.normalized, (0, 1))  # a factor without information
    top = shares[shares.max(dim=1).values > 0.01].topk(2, dim=1).values
    return Score(
        value=float((top[:, 0] - top[:, 1]).mean()) if len(top) else 0.0,
        parameters={"factors": information.factors, **information.exactness, "minimum": 0.01},
        information=information,
    )
