"""Scores of codes: exact definitions, on anybody's codes, without a model in sight."""

from isavae.metrics.codes import Codes, Factor
from isavae.metrics.information import (
    Information,
    binned_information,
    exact_information,
    quantised_information,
)
from isavae.metrics.mig import binned_mig, dci_mig, gaps, jemmig, mig, robust_mig
from isavae.metrics.score import Score

__all__ = [
    "Codes",
    "Factor",
    "Information",
    "Score",
    "binned_information",
    "binned_mig",
    "dci_mig",
    "exact_information",
    "gaps",
    "jemmig",
    "mig",
    "quantised_information",
    "robust_mig",
]
