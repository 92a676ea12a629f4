"""Training objectives: pure functions of one `VAEOutput`, to be minimised.

ISA-VAE is `BetaVAE` with an ISA prior, ISA-TCVAE is `BetaTCVAE` with one: no objective knows the
prior's family. Every objective has a `warmup`: the weight of its regulariser rises from 0 over so
many steps.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from isavae.distributions.minibatch import MinibatchWeights, log_densities, log_marginals
from isavae.models.adversary import Adversary, DensityRatio, NoAdversary
from isavae.models.vae import VAEOutput

KL = Literal["sampled", "analytic", "entropy"]
Estimator = Literal["weighted", "stratified", "stratified_published"]


class ObjectiveValue(NamedTuple):
    """A scalar to minimise and the named terms of it that are worth a line in a log (nats)."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class Objective(ABC):
    """What every objective is: a loss of one output, and an adversary, which most do without."""

    @abstractmethod
    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        """The loss of one pass.

        Args:
            output: the pass.
            step: number of steps done, for what changes with it.
            n_data: number of images in the data set.
            adversary: what `adversary` gave, where the objective has one.
        """

    def adversary(self, latent: int) -> Adversary:
        """The player that is trained beside the VAE."""
        return NoAdversary()


def divergence(output: VAEOutput, kind: KL = "sampled") -> Float[Tensor, " batch"]:
    """KL(q(z|x) || p(z)) of each image in nats; all kinds have the same expectation.

    Args:
        output: one pass.
        kind: "sampled": log q(z|x) - log p(z) at the sample (Eq. 12); "entropy": -log p(z) at the
            sample minus the closed-form entropy of q; "analytic": the closed form.

    Raises:
        ValueError: if there is no closed form for the prior.
    """
    if kind == "sampled":
        return output.posterior.log_prob(output.z) - output.prior.log_prob(output.z)
    if kind == "entropy":
        return -output.prior.log_prob(output.z) - output.posterior.entropy()
    try:
        return kl_divergence(output.posterior, output.prior)
    except NotImplementedError:
        raise ValueError(
            "an analytic KL needs a prior with a closed form, such as the normal one; "
            f"{output.prior} has none: use kl=sampled or kl=entropy"
        ) from None


@final
@dataclass(frozen=True)
class BetaVAE(Objective):
    """The negative β-ELBO, `-log p(x|z) + β (log q(z|x) - log p(z))` (Eqs. 2 and 12).

    Args:
        beta: weight of the KL term; 1 is the ELBO.
        kl: how the KL term is estimated, see `divergence`.
        warmup: steps in which beta rises from 0.
    """

    beta: float = 1.0
    kl: KL = "sampled"
    warmup: int = 0
    name: Literal["beta-vae"] = "beta-vae"

    def __post_init__(self):
        _require_nonnegative(beta=self.beta, warmup=self.warmup)

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        elbo = _elbo_terms(output, self.kl)
        beta = self.beta * _risen(step, self.warmup)
        return ObjectiveValue(beta * elbo["kl"] - elbo["reconstruction"], elbo)


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
    name: Literal["tcvae"] = "tcvae"

    def __post_init__(self):
        _require_nonnegative(beta=self.beta, alpha=self.alpha, gamma=self.gamma, warmup=self.warmup)

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
            + self.beta * _risen(step, self.warmup) * terms["total_correlation"]
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
        kl: how the KL term is estimated, see `divergence`.
        warmup: steps in which gamma rises from 0.
        discriminator_lr: learning rate of the discriminator's Adam, betas (0.5, 0.9).
        discriminator_decay: its learning rate is multiplied by this over every 1000 steps.
        discriminator_width: units of its five hidden layers.
        discriminator_share: share of a batch that the discriminator learns from in a step.
    """

    gamma: float = 6.0
    kl: KL = "sampled"
    warmup: int = 0
    discriminator_lr: float = 1e-4
    discriminator_decay: float = 1.0
    discriminator_width: int = 1000
    discriminator_share: float = 0.5
    name: Literal["factor-vae"] = "factor-vae"

    def __post_init__(self):
        _require_nonnegative(gamma=self.gamma, warmup=self.warmup)
        if not 0 < self.discriminator_share <= 1:
            raise ValueError(
                f"discriminator_share must lie in (0, 1]; got {self.discriminator_share}"
            )

    def adversary(self, latent: int) -> Adversary:
        return DensityRatio(
            latent,
            self.discriminator_width,
            lr=self.discriminator_lr,
            decay=self.discriminator_decay,
            share=self.discriminator_share,
        )

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        if adversary is None:
            raise ValueError("FactorVAE needs its adversary; pass objective.adversary(latent)")
        terms = _elbo_terms(output, self.kl)
        terms["total_correlation"] = adversary.log_ratio(output.z).mean()
        gamma = self.gamma * _risen(step, self.warmup)
        loss = terms["kl"] + gamma * terms["total_correlation"] - terms["reconstruction"]
        return ObjectiveValue(loss, terms)


@final
@dataclass(frozen=True)
class DIPVAEI(Objective):
    """DIP-VAE-I: the covariance of the posterior means is drawn to the prior's (Kumar 2018).

    `-ELBO + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - v_i)²`, C = Cov(μ), v the variances of p(z), 1 as
    published for the normal prior.

    Args:
        lambda_od: weight of the entries off the diagonal.
        lambda_d: weight of the diagonal.
        kl: how the KL term is estimated, see `divergence`.
        warmup: steps in which both weights rise from 0.
    """

    lambda_od: float = 10.0
    lambda_d: float = 100.0
    kl: KL = "sampled"
    warmup: int = 0
    name: Literal["dip-vae-i"] = "dip-vae-i"

    def __post_init__(self):
        _require_nonnegative(lambda_od=self.lambda_od, lambda_d=self.lambda_d, warmup=self.warmup)

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        covariance = _covariance(output.posterior.mean)
        return _dip(self, output, covariance, _risen(step, self.warmup))


@final
@dataclass(frozen=True)
class DIPVAEII(Objective):
    """DIP-VAE-II: as `DIPVAEI` with C = Cov(μ) + E[σ²], the covariance of q(z) (Kumar 2018).

    Args:
        lambda_od: weight of the entries off the diagonal.
        lambda_d: weight of the diagonal.
        kl: how the KL term is estimated, see `divergence`.
        warmup: steps in which both weights rise from 0.
    """

    lambda_od: float = 10.0
    lambda_d: float = 10.0
    kl: KL = "sampled"
    warmup: int = 0
    name: Literal["dip-vae-ii"] = "dip-vae-ii"

    def __post_init__(self):
        _require_nonnegative(lambda_od=self.lambda_od, lambda_d=self.lambda_d, warmup=self.warmup)

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        within = torch.diag(output.posterior.variance.mean(0))
        covariance = _covariance(output.posterior.mean) + within
        return _dip(self, output, covariance, _risen(step, self.warmup))


@final
@dataclass(frozen=True)
class AnnealedVAE(Objective):
    """Capacity annealing, `-log p(x|z) + γ |KL - C|`, C rising with the step (Burgess 2018).

    Args:
        gamma: weight of the distance from the capacity.
        capacity: C at the end, in nats.
        capacity_steps: steps in which C rises from 0.
        kl: how the KL term is estimated, see `divergence`.
    """

    gamma: float = 100.0
    capacity: float = 25.0
    capacity_steps: int = 5000
    kl: KL = "sampled"
    name: Literal["annealed"] = "annealed"

    def __post_init__(self):
        _require_nonnegative(
            gamma=self.gamma, capacity=self.capacity, capacity_steps=self.capacity_steps
        )

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        terms = _elbo_terms(output, self.kl)
        excess = terms["kl"] - self.capacity * _risen(step, self.capacity_steps)
        return ObjectiveValue(self.gamma * excess.abs() - terms["reconstruction"], terms)


def _elbo_terms(output: VAEOutput, kl: KL) -> dict[str, Tensor]:
    return {
        "reconstruction": output.likelihood.log_prob(output.x).mean(),
        "kl": divergence(output, kl).mean(),
    }


def _risen(step: int, steps: int) -> float:
    """The part of a linear rise over `steps` that is done."""
    return min(1.0, step / steps) if steps else 1.0


def _covariance(mean: Float[Tensor, "batch latents"]) -> Float[Tensor, "latents latents"]:
    centred = mean - mean.mean(0)
    return centred.T @ centred / len(mean)


def _dip(
    objective: DIPVAEI | DIPVAEII,
    output: VAEOutput,
    covariance: Float[Tensor, "latents latents"],
    risen: float,
) -> ObjectiveValue:
    terms = _elbo_terms(output, objective.kl)
    diagonal = covariance.diagonal()
    apart = covariance.square().sum() - diagonal.square().sum()
    spread = (diagonal - output.prior.variance).square().sum()
    penalty = objective.lambda_od * apart + objective.lambda_d * spread
    loss = terms["kl"] + risen * penalty - terms["reconstruction"]
    return ObjectiveValue(loss, terms | {"covariance_penalty": penalty})


def _require_nonnegative(**parameters: float | int) -> None:
    for name, value in parameters.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0; got {value}")


AnyObjective = BetaVAE | BetaTCVAE | FactorVAE | DIPVAEI | DIPVAEII | AnnealedVAE

OBJECTIVES: dict[str, type[AnyObjective]] = {
    "beta-vae": BetaVAE,
    "tcvae": BetaTCVAE,
    "factor-vae": FactorVAE,
    "dip-vae-i": DIPVAEI,
    "dip-vae-ii": DIPVAEII,
    "annealed": AnnealedVAE,
}
