"""VAEs: networks, priors, likelihoods and objectives that combine freely."""

from isavae.models.adam import load_adam
from isavae.models.control_vae import ControlVAE
from isavae.models.elbo import Companion, Objective, ObjectiveValue, Scheduled, estimate_kl
from isavae.models.factor_vae import DensityRatio, FactorVAE
from isavae.models.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    CalibratedGaussianLikelihood,
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
from isavae.models.objectives import (
    DIPVAEI,
    DIPVAEII,
    OBJECTIVES,
    AnnealedVAE,
    AnyObjective,
    BetaTCVAE,
    BetaVAE,
    steady_from,
)
from isavae.models.priors import (
    FAMILIES,
    PAPER_TREE,
    FactorialPrior,
    LpNestedPrior,
    Prior,
    build_prior,
)
from isavae.models.vae import VAE, NoiseStream, VAEOutput, noise_generator

__all__ = [
    "DIPVAEI",
    "DIPVAEII",
    "FAMILIES",
    "LIKELIHOODS",
    "NETWORKS",
    "OBJECTIVES",
    "PAPER_TREE",
    "VAE",
    "AnnealedVAE",
    "AnyObjective",
    "BernoulliLikelihood",
    "BetaTCVAE",
    "BetaVAE",
    "CalibratedGaussianLikelihood",
    "Companion",
    "ContinuousBernoulliLikelihood",
    "ControlVAE",
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
    "NoiseStream",
    "Objective",
    "ObjectiveValue",
    "Prior",
    "Scheduled",
    "VAEOutput",
    "build_likelihood",
    "build_networks",
    "build_prior",
    "estimate_kl",
    "load_adam",
    "noise_generator",
    "steady_from",
]
