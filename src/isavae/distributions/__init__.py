"""Lp-nested symmetric distributions, and mixtures of normals."""

from isavae.distributions.diagnostics import (
    rotation_curve,
    rotational_asymmetry,
    subspace_dependence,
)
from isavae.distributions.divergences import (
    generalized_normal_divergence,
    lp_nested_divergence,
    normal_divergence,
)
from isavae.distributions.fit import (
    Comparison,
    Fit,
    compare_trees,
    fit_lp_nested,
    likelihood_ratio_p_value,
)
from isavae.distributions.generalized_normal import GeneralizedNormal
from isavae.distributions.lp_nested import LpNested
from isavae.distributions.marginals import leaf_density
from isavae.distributions.mixtures import (
    MinibatchWeights,
    QuadraticNormals,
    UnresolvedMixtureError,
    conditional_entropies,
    least_stds,
    log_densities,
    log_joint_and_marginals,
    log_marginals,
    log_mixture,
    marginal_entropies,
)
from isavae.distributions.tree import LpTree

__all__ = [
    "Comparison",
    "Fit",
    "GeneralizedNormal",
    "LpNested",
    "LpTree",
    "MinibatchWeights",
    "QuadraticNormals",
    "UnresolvedMixtureError",
    "compare_trees",
    "conditional_entropies",
    "fit_lp_nested",
    "generalized_normal_divergence",
    "leaf_density",
    "least_stds",
    "likelihood_ratio_p_value",
    "log_densities",
    "log_joint_and_marginals",
    "log_marginals",
    "log_mixture",
    "lp_nested_divergence",
    "marginal_entropies",
    "normal_divergence",
    "rotation_curve",
    "rotational_asymmetry",
    "subspace_dependence",
]
