"""VAEs: networks, priors, likelihoods and objectives that combine freely."""

from isavae.models.likelihoods import LIKELIHOODS, BernoulliLikelihood, Likelihood, build_likelihood
from isavae.models.networks import NETWORKS, MLPDecoder, MLPEncoder, build_networks
from isavae.models.objectives import OBJECTIVES, BetaVAE, Objective, ObjectiveValue
from isavae.models.priors import LpNestedPrior, Prior, StandardNormalPrior, build_prior
from isavae.models.vae import VAE, VAEOutput, noise_generator

__all__ = [
    "LIKELIHOODS",
    "NETWORKS",
    "OBJECTIVES",
    "VAE",
    "BernoulliLikelihood",
    "BetaVAE",
    "Likelihood",
    "LpNestedPrior",
    "MLPDecoder",
    "MLPEncoder",
    "Objective",
    "ObjectiveValue",
    "Prior",
    "StandardNormalPrior",
    "VAEOutput",
    "build_likelihood",
    "build_networks",
    "build_prior",
    "noise_generator",
]
