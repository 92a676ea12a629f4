"""Mixtures of normals: exact entropies, and log-densities of an aggregate posterior."""

from isavae.distributions.mixtures.entropies import (
    conditional_entropies,
    least_stds,
    marginal_entropies,
)
from isavae.distributions.mixtures.minibatch import (
    MinibatchWeights,
    log_densities,
    log_joint_and_marginals,
    log_marginals,
)
from isavae.distributions.mixtures.pairs import QuadraticNormals, log_mixture
from isavae.distributions.mixtures.spectra import UnresolvedMixtureError

__all__ = [
    "MinibatchWeights",
    "QuadraticNormals",
    "UnresolvedMixtureError",
    "conditional_entropies",
    "least_stds",
    "log_densities",
    "log_joint_and_marginals",
    "log_marginals",
    "log_mixture",
    "marginal_entropies",
]
