"""Scores of codes: exact definitions on codes of any origin, without a model."""

from isavae.metrics.all_metrics import METRICS, Metric
from isavae.metrics.bins import binned_information, quantised_information
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.decomposition import elbo_decomposition
from isavae.metrics.evaluating import Wanted, evaluate, listed_scores, scored_names
from isavae.metrics.factor_classes import Factor
from isavae.metrics.few_labels import few_label_accuracy
from isavae.metrics.importance import completeness, disentanglement, med, mig_sup, modularity
from isavae.metrics.information_gaps import binned_mig, dci_mig, gaps, jemmig, mig, robust_mig
from isavae.metrics.interventions import beta_vae_metric, binned_irs, factor_vae_metric, irs
from isavae.metrics.mutual_information import (
    MIN_INFORMATION,
    Information,
    exact_information,
    latent_information,
)
from isavae.metrics.nearest_codes import median_row, nearest_along
from isavae.metrics.score import Score
from isavae.metrics.score_table import ScoreRow, ScoreTable
from isavae.metrics.subspaces import subspace_information, subspace_mig
from isavae.metrics.supervised import dci, explicitness, sap
from isavae.metrics.unsupervised import (
    active_units,
    agreement,
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    informative,
    latent_mutual_information,
    partner_correlations,
    relative_strength,
    spearman,
    udr,
    udr_ranking,
)

__all__ = [
    "METRICS",
    "MIN_INFORMATION",
    "Codes",
    "Factor",
    "Information",
    "Metric",
    "NotApplicable",
    "Score",
    "ScoreRow",
    "ScoreTable",
    "Wanted",
    "active_units",
    "agreement",
    "beta_vae_metric",
    "binned_information",
    "binned_irs",
    "binned_mig",
    "completeness",
    "dci",
    "dci_mig",
    "disentanglement",
    "elbo_decomposition",
    "evaluate",
    "exact_information",
    "explicitness",
    "factor_vae_metric",
    "few_label_accuracy",
    "gaps",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "informative",
    "irs",
    "jemmig",
    "latent_information",
    "latent_mutual_information",
    "listed_scores",
    "med",
    "median_row",
    "mig",
    "mig_sup",
    "modularity",
    "nearest_along",
    "partner_correlations",
    "quantised_information",
    "relative_strength",
    "robust_mig",
    "sap",
    "scored_names",
    "spearman",
    "subspace_information",
    "subspace_mig",
    "udr",
    "udr_ranking",
]
