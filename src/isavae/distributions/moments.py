"""Second moments of the leaves: the radius' times those of the Beta shares on the way down."""

import torch
from torch import Tensor

from isavae.distributions.norms import nodes_first, unsqueeze_batch
from isavae.distributions.tree_index import Level, TreeIndex, index_first, sweep_down


def log_moment(count: Tensor | int, p: Tensor, order: int = 2) -> Tensor:
    """Log E G^(order/p) of G ~ Gamma(count/p, 1)."""
    return torch.lgamma((count + order) / p) - torch.lgamma(count / p)


def log_leaf_moments(log_radius_moment: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """Log E z_j² of every leaf, on the first axis, from that of the radius (batch shape)."""
    batch = log_radius_moment.shape
    p = nodes_first(exponents, len(batch) + 1)

    def split(log_values: Tensor, level: Level) -> Tensor:
        p_nodes = index_first(p, level.nodes)
        rest = log_values - log_moment(unsqueeze_batch(level.leaf_counts, batch), p_nodes)
        counts = unsqueeze_batch(level.child_counts, batch)
        return rest.unsqueeze(1) + log_moment(counts, p_nodes.unsqueeze(1))

    return sweep_down(log_radius_moment, index, split)
