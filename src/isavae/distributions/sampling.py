"""Exact draws of an Lp-nested law (Algorithm 1), on logarithms."""

import torch
from torch import Tensor

from isavae.distributions.norms import nodes_first, unsqueeze_batch
from isavae.distributions.tree_index import Level, TreeIndex, index_first, sweep_down


def log_gamma_draws(concentration: Tensor) -> Tensor:
    """Log G of G ~ Gamma(a, 1) without underflow: G_a = G_(a+1) U^(1/a).

    G of a = 1/100 is 0 in float32 four times out of ten, and its power 1/p is not.
    """
    u = 1 - torch.rand_like(concentration)  # in (0, 1]: its logarithm is finite
    return torch._standard_gamma(concentration + 1).log() + u.log() / concentration


def split_radius(log_radius: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """Splits radii down the tree by Dirichlet laws, and draws signs: leaves on the last axis."""
    shape = log_radius.shape
    p = nodes_first(exponents, len(shape) + 1)

    def split(log_values: Tensor, level: Level) -> Tensor:
        p_nodes = index_first(p, level.nodes).unsqueeze(1)
        concentration = unsqueeze_batch(level.child_counts, shape).to(p.dtype) / p_nodes
        log_gammas = log_gamma_draws(concentration.expand(-1, -1, *shape))
        shares = (log_gammas - torch.logsumexp(log_gammas, 1, keepdim=True)) / p_nodes
        return log_values.unsqueeze(1) + shares

    magnitudes = sweep_down(log_radius, index, split).exp().movedim(0, -1).contiguous()
    return torch.where(torch.rand_like(magnitudes) < 0.5, magnitudes, -magnitudes)
