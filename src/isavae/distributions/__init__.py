"""Lp-nested symmetric laws, and mixtures of normals."""

from isavae.distributions.aggregate import marginal_entropies, partition_entropies
from isavae.distributions.generalized_normal import GeneralizedNormal
from isavae.distributions.lp_nested import LpNested
from isavae.distributions.tree import LpTree

__all__ = ["GeneralizedNormal", "LpNested", "LpTree", "marginal_entropies", "partition_entropies"]
