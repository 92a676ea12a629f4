"""Kullback-Leibler divergences in closed form, for `torch.distributions.kl_divergence`.

Other pairs, and parameters without a closed form, raise torch's NotImplementedError.
"""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence, register_kl

from isavae.distributions.generalized_normal import GeneralizedNormal
from isavae.distributions.lp_nested import LpNested


@register_kl(LpNested, LpNested)
def lp_nested_divergence(p: LpNested, q: LpNested) -> Tensor:
    """KL of two distributions over one tree: that of their radii, since the directions are alike.

    Under Eq. 11, n/p0 (log(s_q / s_p) + s_p / s_q - 1), in nats, of the shape of the batch.

    Raises:
        NotImplementedError: For two trees, other exponents, or Eq. 11 beside another radius.
    """
    same_tree = p.tree.arities == q.tree.arities and _all(p.exponents == q.exponents)
    if not same_tree or (p.radial is None) != (q.radial is None):
        raise NotImplementedError(
            f"A closed form needs one tree and one kind of radius, not {p} and {q}: average "
            "log_prob over samples."
        )
    if p.radial is not None and q.radial is not None:
        return kl_divergence(p.radial, q.radial)
    p0, s_p, s_q = _single(p.exponents[..., 0], p.scale, q.scale)
    ratio = s_p / s_q
    return p.tree.n / p0 * (ratio - 1 - ratio.log())


@register_kl(Independent, LpNested)
def normal_divergence(p: Independent, q: LpNested) -> Tensor:
    """KL, in nats, of independent normals and of the N(0, s/2 I) that a tree of exponents 2 is.

    Raises:
        ValueError: If the two are not over the same latents.
        NotImplementedError: For other distributions, radii or exponents, and for learned exponents,
            which do not stay 2.
    """
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"A divergence needs two distributions over the same latents, not of event shapes "
            f"{tuple(p.event_shape)} and {tuple(q.event_shape)}: fit the tree to the latents."
        )
    normals = p.base_dist
    fixed = q.radial is None and not q.exponents.requires_grad and _all(q.exponents == 2)
    if not isinstance(normals, Normal) or not fixed:
        raise NotImplementedError(
            f"A closed form needs normals, and a tree whose exponents are 2 and stay so, not {p} "
            f"and {q}: average log_prob over samples."
        )
    (scale,) = _single(q.scale)
    std = (scale / 2).sqrt().unsqueeze(-1)
    return kl_divergence(normals, Normal(torch.zeros_like(std), std)).sum(-1)


@register_kl(Normal, LpNested)
def _refuse_single_normals(p: Normal, q: LpNested) -> Tensor:
    raise NotImplementedError(
        f"A divergence from {q} needs one distribution over all {q.tree.n} latents, not a batch of "
        f"single normals of shape {tuple(p.batch_shape)}: wrap them in Independent(..., 1)."
    )


@register_kl(GeneralizedNormal, GeneralizedNormal)
def generalized_normal_divergence(p: GeneralizedNormal, q: GeneralizedNormal) -> Tensor:
    """KL, in nats, from E_p |(z - μ_q)/a_q|^q, known for one location, or for a q that is normal.

    Raises:
        NotImplementedError: For two locations and an exponent of q other than 2.
    """
    apart = p.loc - q.loc
    if not _all((apart == 0) | (q.p == 2)):
        raise NotImplementedError(
            f"A closed form needs one location, or a second p of 2, not {p} and {q}: average "
            "log_prob over samples."
        )
    apart, power_p, power_q, scale_p, scale_q = _single(apart, p.p, q.p, p.scale, q.scale)
    log_moment = torch.lgamma((power_q + 1) / power_p) - torch.lgamma(1 / power_p)
    central = (power_q * (scale_p / scale_q).log() + log_moment).exp()
    return central + (apart / scale_q) ** 2 - p.entropy() + q.entropy() - 1 / power_q


def _single(*parameters: Tensor) -> list[Tensor]:
    """Parameters with at least single precision."""
    return [x.to(torch.promote_types(x.dtype, torch.float32)) for x in parameters]


def _all(condition: Tensor) -> bool:
    return bool(torch._is_all_true(condition))
