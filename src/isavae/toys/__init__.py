"""Appendix B: what variational inference and β do, in models where everything can be computed."""

from isavae.toys.factor_analysis import (
    FactorAnalysis,
    maximum_likelihood_weights,
    pruning_weights,
    rotation,
    second_moment,
)
from isavae.toys.ica import Factors, Step, StudentICA, ascend, directions, overlap

__all__ = [
    "FactorAnalysis",
    "Factors",
    "Step",
    "StudentICA",
    "ascend",
    "directions",
    "maximum_likelihood_weights",
    "overlap",
    "pruning_weights",
    "rotation",
    "second_moment",
]
