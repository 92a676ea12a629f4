"""Mixtures of normals: exact entropies, and log-densities of an aggregate posterior."""

from isavae.distributions.mixtures.entropies import conditional_entropies, marginal_entropies
from isavae.distributions.mixtures.minibatch import (
    MinibatchWeights,
    log_densities,
    log_marginals,
)

__all__ = [
    "MinibatchWeights",
    "conditional_entropies",
    "log_densities",
    "log_marginals",
    "marginal_entropies",
]
