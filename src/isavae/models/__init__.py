"""VAEs: networks, priors, likelihoods and objectives that combine freely."""

from isavae.models.adversary import Adversary, DensityRatio, NoAdversary
from isavae.models.kl import estimate_kl
from isavae.models.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    build_likelihood,
)
from isavae.models.networks import (
    NETWORKS,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    build_networks,
)
from isavae.models.objective import Objective, ObjectiveValue
from isavae.models.objectives import (
    DIPVAEI,
    DIPVAEII,
    OBJECTIVES,
    AnnealedVAE,
    AnyObjective,
    BetaVAE,
)
from isavae.models.prior import Prior
from isavae.models.priors import (
    FactorialPrior,
    LpNestedPrior,
    StandardNormalPrior,
    build_prior,
)
from isavae.models.total_correlation import BetaTCVAE, FactorVAE
from isavae.models.vae import VAE, VAEOutput, noise_generator

__all__ = [
    "DIPVAEI",
    "DIPVAEII",
    "LIKELIHOODS",
    "NETWORKS",
    "OBJECTIVES",
    "VAE",
    "Adversary",
    "AnnealedVAE",
    "AnyObjective",
    "BernoulliLikelihood",
    "BetaTCVAE",
    "BetaVAE",
    "ContinuousBernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "DensityRatio",
    "FactorVAE",
    "FactorialPrior",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "LpNestedPrior",
    "MLPDecoder",
    "MLPEncoder",
    "NoAdversary",
    "Objective",
    "ObjectiveValue",
    "Prior",
    "StandardNormalPrior",
    "VAEOutput",
    "build_likelihood",
    "build_networks",
    "build_prior",
    "estimate_kl",
    "noise_generator",
]
