"""Objectives that weigh the total correlation on its own: β-TCVAE and FactorVAE, for any prior.

ISA-TCVAE is `BetaTCVAE` with an ISA prior.
"""

from dataclasses import dataclass
from typing import Any, Literal, final

from jaxtyping import Float
from torch import Tensor

from isavae.distributions.mixtures.minibatch import MinibatchWeights, log_densities, log_marginals
from isavae.models.adversary import Adversary, DensityRatio
from isavae.models.kl import KLEstimator, elbo_terms
from isavae.models.objective import Objective, ObjectiveValue, check_nonnegative, linear_ramp
from isavae.models.vae import VAEOutput

Estimator = Literal["weighted", "stratified", "stratified_published"]


@final
@dataclass(frozen=True)
class BetaTCVAE(Objective):
    """β-TCVAE for any prior (Eq. 3; Chen et al. 2018): the KL in three parts with weights.

    `-log p(x|z) + α [log q(z|x) - log q(z)] + β [log q(z) - Σ_j log q(z_j)]
    + γ [Σ_j log q(z_j) - log p(z)]`: mutual information of image and code, total correlation, and
    the divergence of the single latents from the prior.

    Args:
        beta: weight of the total correlation.
        alpha: weight of the mutual information.
        gamma: weight of the divergence of the parts.
        estimator: of log q(z) and log q(z_j): minibatch "weighted", "stratified", or
            "stratified_published", which repeats an error of all published code.
        between: what should be independent: the "latents", or the prior's "subspaces" only, which
            leaves dependence within a subspace free.
        exact: visit all pairs for log q(z_j), in place of the fast form within 1e-3 nats of it.
        warmup: steps in which beta rises from 0.
    """

    beta: float = 6.0
    alpha: float = 1.0
    gamma: float = 1.0
    estimator: Estimator = "weighted"
    between: Literal["latents", "subspaces"] = "latents"
    exact: bool = False
    warmup: int = 0
    name: Literal["beta-tcvae"] = "beta-tcvae"

    def __post_init__(self):
        check_nonnegative(beta=self.beta, alpha=self.alpha, gamma=self.gamma, warmup=self.warmup)

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        joint, parts = self._log_aggregate(output, n_data)
        log_posterior = output.posterior.log_prob(output.z)
        terms = {
            "reconstruction": output.likelihood.log_prob(output.x).mean(),
            "mutual_information": (log_posterior - joint).mean(),
            "total_correlation": (joint - parts).mean(),
            "parts_kl": (parts - output.prior.log_prob(output.z)).mean(),
        }
        loss = (
            self.alpha * terms["mutual_information"]
            + self.beta * linear_ramp(step, self.warmup) * terms["total_correlation"]
            + self.gamma * terms["parts_kl"]
            - terms["reconstruction"]
        )
        kl = terms["mutual_information"] + terms["total_correlation"] + terms["parts_kl"]
        return ObjectiveValue(loss, terms | {"kl": kl})

    def _log_aggregate(
        self, output: VAEOutput, n_data: int
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Log q(z), and the sum of log q over the parts that should be independent."""
        batch, latents = output.z.shape
        weights = getattr(MinibatchWeights, self.estimator)(batch, n_data)
        normal: Any = output.posterior.base_dist
        sample = output.z, normal.loc, normal.scale, weights
        joint = log_densities(*sample, [slice(0, latents)])[:, 0]
        if self.between == "subspaces":
            return joint, log_densities(*sample, output.subspaces).sum(1)
        return joint, log_marginals(*sample, exact=self.exact).sum(1)


@final
@dataclass(frozen=True)
class FactorVAE(Objective):
    """The ELBO minus γ times the total correlation by the density-ratio trick (Kim & Mnih 2018).

    A discriminator learns to tell samples of q(z) from those of Π_j q(z_j), which are samples of a
    second batch with every latent permuted on its own.

    Args:
        gamma: weight of the total correlation.
        kl_estimator: how the KL term is estimated, see `estimate_kl`.
        warmup: steps in which gamma rises from 0.
        discriminator_learning_rate: learning rate of the discriminator's Adam, betas (0.5, 0.9).
        discriminator_decay: its learning rate is multiplied by this over every 1000 steps.
        discriminator_width: units of its five hidden layers.
        discriminator_share: share of a batch that the discriminator learns from in a step.
    """

    gamma: float = 6.0
    kl_estimator: KLEstimator = "sampled"
    warmup: int = 0
    discriminator_learning_rate: float = 1e-4
    discriminator_decay: float = 1.0
    discriminator_width: int = 1000
    discriminator_share: float = 0.5
    name: Literal["factor-vae"] = "factor-vae"

    def __post_init__(self):
        check_nonnegative(gamma=self.gamma, warmup=self.warmup)
        if not 0 < self.discriminator_share <= 1:
            raise ValueError(
                f"discriminator_share must lie in (0, 1]; got {self.discriminator_share}"
            )

    def adversary(self, n_latents: int) -> Adversary:
        return DensityRatio(
            n_latents,
            self.discriminator_width,
            learning_rate=self.discriminator_learning_rate,
            decay=self.discriminator_decay,
            share=self.discriminator_share,
        )

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        if adversary is None:
            raise ValueError("FactorVAE needs its adversary; pass objective.adversary(n_latents)")
        terms = elbo_terms(output, self.kl_estimator)
        terms["total_correlation"] = adversary.log_ratio(output.z).mean()
        gamma = self.gamma * linear_ramp(step, self.warmup)
        loss = terms["kl"] + gamma * terms["total_correlation"] - terms["reconstruction"]
        return ObjectiveValue(loss, terms)
