"""Every training objective by name.

ISA-VAE is `BetaVAE` with an ISA prior and ISA-TCVAE is `BetaTCVAE` with one: no objective knows the
prior's family. `Scheduled` objectives have a regulariser whose weight may change over the steps.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent

from isavae.distributions import MinibatchWeights, log_densities, log_joint_and_marginals
from isavae.models.control_vae import ControlVAE
from isavae.models.elbo import (
    Companion,
    KLEstimator,
    Objective,
    ObjectiveValue,
    Scheduled,
    check_nonnegative,
    elbo_terms,
    linear_ramp,
)
from isavae.models.factor_vae import FactorVAE
from isavae.models.vae import VAEOutput

DensityEstimator = Literal["weighted", "stratified", "stratified_published"]


@final
@dataclass(frozen=True)
class BetaVAE(Scheduled):
    """The negative β-ELBO, `-log p(x|z) + β (log q(z|x) - log p(z))` (Eqs. 2 and 12).

    Args:
        beta: Weight of the KL term; 1 is the ELBO.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.
        warmup: Number of steps over which beta rises from 0.
        schedule: Points (step, factor) instead of a warmup: beta is multiplied by
            the factor, which is linear in between.
    """

    beta: float = 1.0
    kl_estimator: KLEstimator = "sampled"
    name: Literal["beta-vae"] = "beta-vae"

    def __post_init__(self):
        check_nonnegative(beta=self.beta)
        super().__post_init__()

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        elbo = elbo_terms(output, self.kl_estimator)
        beta = self.beta * self.factor(step)
        return ObjectiveValue(beta * elbo["kl"] - elbo["reconstruction"], elbo)

    def weights(self) -> str:
        return f"KL × {self.beta:g}"


@final
@dataclass(frozen=True)
class BetaTCVAE(Scheduled):
    """β-TCVAE for any prior (Eq. 3; Chen et al. 2018): the KL in three parts with weights.

    `-log p(x|z) + α [log q(z|x) - log q(z)] + β [log q(z) - Σ_j log q(z_j)]
    + γ [Σ_j log q(z_j) - log p(z)]`: mutual information of image and code, total correlation, and
    KL between the marginals and the prior.

    Args:
        beta: Weight of the total correlation.
        alpha: Weight of the mutual information.
        gamma: Weight of the KL of the marginals.
        estimator: Estimator of log q(z) and log q(z_j): minibatch "weighted", "stratified", or
            "stratified_published", which repeats an error of all published code.
        between: The parts that should be independent: the "latents", or only the "subspaces" of
            the prior, whose own latents may then depend on each other.
        exact: Sum over all pairs for log q(z_j), instead of the fast form within 1e-3 nats of it.
        scheduled: What changes over the steps: "beta", or "all" three weights.
        warmup: Number of steps over which what `scheduled` names rises from 0.
        schedule: Points (step, factor) instead of a warmup: what `scheduled` names is multiplied
            by the factor, which is linear in between.
    """

    beta: float = 6.0
    alpha: float = 1.0
    gamma: float = 1.0
    estimator: DensityEstimator = "weighted"
    between: Literal["latents", "subspaces"] = "latents"
    exact: bool = False
    scheduled: Literal["beta", "all"] = "beta"
    name: Literal["beta-tcvae"] = "beta-tcvae"

    def __post_init__(self):
        check_nonnegative(beta=self.beta, alpha=self.alpha, gamma=self.gamma)
        super().__post_init__()

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        joint, parts = self._log_aggregate(output, n_data)
        log_posterior = output.posterior.log_prob(output.z)
        terms = {
            "reconstruction": output.likelihood.log_prob(output.x).mean(),
            "mutual_information": (log_posterior - joint).mean(),
            "total_correlation": (joint - parts).mean(),
            "parts_kl": (parts - output.prior.log_prob(output.z)).mean(),
        }
        factor = self.factor(step)
        others = factor if self.scheduled == "all" else 1.0
        loss = (
            others * self.alpha * terms["mutual_information"]
            + factor * self.beta * terms["total_correlation"]
            + others * self.gamma * terms["parts_kl"]
            - terms["reconstruction"]
        )
        kl = terms["mutual_information"] + terms["total_correlation"] + terms["parts_kl"]
        return ObjectiveValue(loss, terms | {"kl": kl})

    def weights(self) -> str:
        """The weights of its terms in words; the two beside β are one where they are equal.

        Examples:
            >>> BetaTCVAE(beta=20.0, alpha=4.0, gamma=4.0).weights()
            'total correlation × 20, rest of the KL × 4'
        """
        correlation = "total correlation"
        if self.between == "subspaces":
            correlation += " of the subspaces"
        if self.alpha == self.gamma:
            return f"{correlation} × {self.beta:g}, rest of the KL × {self.alpha:g}"
        return (
            f"mutual information × {self.alpha:g}, {correlation} × {self.beta:g}, "
            f"KL of the marginals × {self.gamma:g}"
        )

    def _log_aggregate(
        self, output: VAEOutput, n_data: int
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Log q(z), and the sum of log q of the latents or subspaces."""
        batch, latents = output.z.shape
        weights = _weights_on(output.z.device, self.estimator, batch, n_data)
        normal: Any = output.posterior.base_dist
        sample = output.z, normal.loc, normal.scale, weights
        if self.between == "subspaces":
            joint = log_densities(*sample, [slice(0, latents)])[:, 0]
            return joint, log_densities(*sample, output.subspaces).sum(1)
        joint, marginals = log_joint_and_marginals(*sample, exact=self.exact)
        return joint, marginals.sum(1)


@lru_cache(maxsize=16)
def _weights_on(
    device: torch.device, estimator: DensityEstimator, batch: int, n_data: int
) -> MinibatchWeights:
    """The weights of a batch, copied to the device once, since a copy waits for it."""
    return getattr(MinibatchWeights, estimator)(batch, n_data).to(device)


@final
@dataclass(frozen=True)
class AnnealedVAE(Objective):
    """Capacity annealing, `-log p(x|z) + γ |KL - C|`, C rising with the step (Burgess 2018).

    Args:
        gamma: Weight of the distance from the capacity.
        capacity: C at the end, in nats.
        capacity_steps: Number of steps over which C rises from 0.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.
    """

    gamma: float = 100.0
    capacity: float = 25.0
    capacity_steps: int = 5000
    kl_estimator: KLEstimator = "sampled"
    name: Literal["annealed-vae"] = "annealed-vae"

    def __post_init__(self):
        check_nonnegative(
            gamma=self.gamma, capacity=self.capacity, capacity_steps=self.capacity_steps
        )

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        terms = elbo_terms(output, self.kl_estimator)
        excess = terms["kl"] - self.capacity * linear_ramp(step, self.capacity_steps)
        return ObjectiveValue(self.gamma * excess.abs() - terms["reconstruction"], terms)

    def settled_from(self) -> int:
        return self.capacity_steps

    def weights(self) -> str:
        return f"|KL - {self.capacity:g} nats| × {self.gamma:g}"


@dataclass(frozen=True)
class _DIPVAE(Scheduled):
    """The ELBO with a penalty on the distance of a covariance from the prior's."""

    lambda_od: float = 10.0
    lambda_d: float = 10.0
    kl_estimator: KLEstimator = "sampled"

    def __post_init__(self):
        check_nonnegative(lambda_od=self.lambda_od, lambda_d=self.lambda_d)
        super().__post_init__()

    @abstractmethod
    def covariance(self, posterior: Independent) -> Float[Tensor, "latents latents"]:
        """C, from the posteriors of a batch."""

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        covariance = self.covariance(output.posterior)
        terms = elbo_terms(output, self.kl_estimator)
        diagonal = covariance.diagonal()
        apart = covariance.square().sum() - diagonal.square().sum()
        spread = (diagonal - output.prior.variance).square().sum()
        penalty = self.lambda_od * apart + self.lambda_d * spread
        loss = terms["kl"] + self.factor(step) * penalty - terms["reconstruction"]
        return ObjectiveValue(loss, terms | {"covariance_penalty": penalty})

    def weights(self) -> str:
        return f"KL × 1, covariances × {self.lambda_od:g}, variances × {self.lambda_d:g}"


@final
@dataclass(frozen=True)
class DIPVAEI(_DIPVAE):
    """DIP-VAE-I: the covariance of the posterior means approaches the prior's (Kumar 2018).

    `-ELBO + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - v_i)²`, C = Cov(μ), v the variances of p(z), 1 as
    published for the normal prior.

    Args:
        lambda_od: Weight of the entries off the diagonal.
        lambda_d: Weight of the diagonal.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.
        warmup: Number of steps over which both weights rise from 0.
        schedule: Points (step, factor) instead of a warmup: both weights are multiplied by
            the factor, which is linear in between.
    """

    lambda_d: float = 100.0
    name: Literal["dip-vae-i"] = "dip-vae-i"

    def covariance(self, posterior: Independent) -> Float[Tensor, "latents latents"]:
        return _covariance(posterior.mean)


@final
@dataclass(frozen=True)
class DIPVAEII(_DIPVAE):
    """DIP-VAE-II: as `DIPVAEI` with C = Cov(μ) + E[σ²], the covariance of q(z) (Kumar 2018).

    Args:
        lambda_od: Weight of the entries off the diagonal.
        lambda_d: Weight of the diagonal.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.
        warmup: Number of steps over which both weights rise from 0.
        schedule: Points (step, factor) instead of a warmup: both weights are multiplied by
            the factor, which is linear in between.
    """

    name: Literal["dip-vae-ii"] = "dip-vae-ii"

    def covariance(self, posterior: Independent) -> Float[Tensor, "latents latents"]:
        return _covariance(posterior.mean) + torch.diag(posterior.variance.mean(0))


def _covariance(mean: Float[Tensor, "batch latents"]) -> Float[Tensor, "latents latents"]:
    centred = mean - mean.mean(0)
    return centred.T @ centred / len(mean)


# The type of an objective, whose fields are the settings `objective.*` of a run.
AnyObjective = BetaVAE | BetaTCVAE | FactorVAE | DIPVAEI | DIPVAEII | AnnealedVAE | ControlVAE

# Every objective by its name in settings.
OBJECTIVES: dict[str, type[AnyObjective]] = {
    "beta-vae": BetaVAE,
    "beta-tcvae": BetaTCVAE,
    "factor-vae": FactorVAE,
    "dip-vae-i": DIPVAEI,
    "dip-vae-ii": DIPVAEII,
    "annealed-vae": AnnealedVAE,
    "control-vae": ControlVAE,
}


def steady_from(objective: Objective) -> int | None:
    """The first step from which an objective is the same function of the output at every step.

    None for an objective of your own, whose code may do something else at any step.

    Examples:
        >>> steady_from(BetaVAE()), steady_from(BetaVAE(warmup=100)), steady_from(AnnealedVAE())
        (0, 100, 5000)
    """
    return objective.settled_from() if type(objective) in OBJECTIVES.values() else None
