"""`METRICS`: every score by name, with its definition and its caveat."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

from isavae.metrics.decomposition import elbo_decomposition
from isavae.metrics.few_labels import few_label_accuracy
from isavae.metrics.importance import med, mig_sup, modularity
from isavae.metrics.information_gaps import binned_mig, dci_mig, jemmig, mig, robust_mig
from isavae.metrics.interventions import beta_vae_metric, binned_irs, factor_vae_metric, irs
from isavae.metrics.subspaces import subspace_mig
from isavae.metrics.supervised import dci, explicitness, sap
from isavae.metrics.unsupervised import (
    active_units,
    agreement,
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    latent_mutual_information,
    udr,
)

Need = Literal["factors", "two factors", "log_std", "prior", "subspaces", "others"]


@final
@dataclass(frozen=True)
class Metric:
    """Definition of a score.

    Args:
        function: Function of codes that computes the score: a `Score`, or a number of any kind.
        family: `information`, `elbo`, `supervised`, `unsupervised`, or `own` of a function that was
            passed to `evaluate`.
        range: Range of its values, with their unit.
        better: Whether higher or lower values are better.
        needs: Required inputs besides the means.
        source: Source of the definition.
        caveat: What the score does not measure.
    """

    function: Callable[..., Any]
    family: Literal["information", "elbo", "supervised", "unsupervised", "own"]
    range: str
    better: Literal["higher", "lower", "neither"]
    needs: tuple[Need, ...]
    source: str
    caveat: str


# Every score by its name in `evaluate`, on the command line and in `scores.json`.
METRICS: dict[str, Metric] = {
    "mig": Metric(
        mig, "information", "[0, 1]", "higher", ("factors", "log_std"),
        "Chen et al. 2018, continuous; exact entropies",
        "does not require that a latent carry one factor only; not comparable with a binned MIG",
    ),
    "binned_mig": Metric(
        binned_mig, "information", "[0, 1]", "higher", ("factors",),
        "Locatello et al. 2019: 20 bins of the means",
        "ignores posterior noise, so pruned or noisy latents can seem informative",
    ),
    "subspace_mig": Metric(
        subspace_mig, "information", "[0, 1]", "higher", ("factors", "log_std", "subspaces"),
        "the paper's MIG with joint entropies of subspaces",
        "requires neither one latent per factor nor one factor per subspace",
    ),
    "robust_mig": Metric(
        robust_mig, "information", "[0, 1]", "higher", ("factors",),
        "Do and Tran 2020: 100 bins of [-4, 4], posterior mass, divided by H(v)",
        "is not invariant to the latents' scale, since the bins are fixed",
    ),
    "jemmig": Metric(
        jemmig, "information", "[0, 1]", "higher", ("factors",),
        "Do and Tran 2020, normalised",
        "below one for any finite code and above zero for a constant one, as it includes H(z|v) "
        "of 100 bins; compare at equal bins",
    ),
    "dci_mig": Metric(
        dci_mig, "information", "[0, 1]", "higher", ("two factors", "log_std"),
        "Sepliarskaia et al. 2019; exact entropies",
        "does not punish a factor that is in two latents",
    ),
    "mig_sup": Metric(
        mig_sup, "information", "[0, 1]", "higher", ("two factors", "log_std"),
        "Li et al. 2020; exact entropies",
        "does not require that every factor be captured",
    ),
    "modularity": Metric(
        modularity, "information", "[0, 1]", "higher", ("two factors",),
        "Ridgeway and Mozer 2018, as Locatello et al. 2019: 20 bins",
        "counts pruned latents by their noise (see its term `active`); a factor may be missing",
    ),
    "med": Metric(
        med, "information", "[0, 1]", "higher", ("two factors",),
        "Cao et al. 2022: 20 bins of the means",
        "is DCI's disentanglement with information for importance, not a gap",
    ),
    "elbo_decomposition": Metric(
        elbo_decomposition, "elbo", "[0, inf) nats", "neither", ("log_std", "prior"),
        "Eq. 3; Chen et al. 2018, Hoffman and Johnson 2016",
        "a low KL may mean that nothing is encoded; look at its three terms",
    ),
    "dci": Metric(
        dci, "supervised", "[0, 1]", "higher", ("two factors",),
        "Eastwood and Williams 2018; histogram gradient boosting, gain importances",
        "other predictors or importances give other values: compare within one predictor only",
    ),
    "sap": Metric(
        sap, "supervised", "[0, 1]", "higher", ("factors",),
        "Kumar et al. 2018, as Locatello et al. 2019: linear SVM, C = 0.01",
        "low whenever a factor needs more than a threshold on one latent",
    ),
    "explicitness": Metric(
        explicitness, "supervised", "[0, 1], chance 0.5", "higher", ("factors",),
        "Ridgeway and Mozer 2018, as Locatello et al. 2019: logistic regression, ROC AUC",
        "does not measure disentanglement: a rotation leaves it unchanged",
    ),
    "beta_vae_metric": Metric(
        beta_vae_metric, "supervised", "[0, 1], chance 1/K", "higher", ("two factors",),
        "Higgins et al. 2017, as Locatello et al. 2019",
        "reaches one for codes that are not axis aligned: a linear classifier undoes rotations",
    ),
    "factor_vae_metric": Metric(
        factor_vae_metric, "supervised", "[0, 1], chance 1/K", "higher", ("two factors",),
        "Kim and Mnih 2018, as Locatello et al. 2019: dead below a std of 0.05",
        "does not punish a factor that is in several latents",
    ),
    "irs": Metric(
        irs, "supervised", "[0, 1]", "higher", ("factors",),
        "Suter et al. 2019: 0.99 quantile, given single classes",
        "does not require that any factor be captured; assumes independent factors",
    ),
    "binned_irs": Metric(
        binned_irs, "supervised", "[0, 1]", "higher", ("factors",),
        "Suter et al. 2019, as Locatello et al. 2019: 20 bins of class numbers",
        "below one for perfect codes of factors with more than 20 classes",
    ),
    "few_label_accuracy": Metric(
        few_label_accuracy, "supervised", "[0, 1], chance 1/classes", "higher", ("factors",),
        "logistic regression on 100 and 1000 labels, 5 draws",
        "a score of usefulness for linear readout, not of disentanglement",
    ),
    "active_units": Metric(
        active_units, "unsupervised", "0..latents", "neither", (),
        "Burda et al. 2016: variance of the mean above 0.01",
        "depends on the latents' scale",
    ),
    "gaussian_total_correlation": Metric(
        gaussian_total_correlation, "unsupervised", "[0, inf) nats", "lower", (),
        "Locatello et al. 2019, of the means",
        "is zero for uncorrelated but dependent latents, and for dead ones",
    ),
    "gaussian_wasserstein_correlation": Metric(
        gaussian_wasserstein_correlation, "unsupervised", "[0, inf)", "lower", (),
        "Locatello et al. 2019, of the means",
        "depends on the latents' scale (see its term `normalised`)",
    ),
    "latent_mutual_information": Metric(
        latent_mutual_information, "unsupervised", "[0, log 20] nats", "lower", (),
        "Locatello et al. 2019: 20 bins of the means",
        "is pairwise: three latents may depend on each other and score zero",
    ),
    "udr": Metric(
        udr, "unsupervised", "[0, 1] for spearman, about so for lasso", "higher", ("others",),
        "Duan et al. 2020: lasso, 1000 images, median over runs",
        "ranks runs of one study; its absolute value means little",
    ),
    "agreement": Metric(
        agreement, "unsupervised", "[0, 1]", "higher", ("others",),
        "Spearman correlation of optimally matched latents",
        "runs may agree on an entangled code",
    ),
}  # fmt: skip
