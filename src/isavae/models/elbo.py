"""The interface of objectives, and the terms of the ELBO that all of them use.

An objective is a frozen value. What changes in training, such as the weight of a regulariser, is a
function of the step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import kl_divergence

from isavae.models.vae import VAEOutput

KLEstimator = Literal["sampled", "analytic", "entropy"]


class Adversary(nn.Module, ABC):
    """A module that is trained along with the VAE by an optimiser of its own.

    The training loop passes it to the objective, and lets it learn after the VAE's step.

    Attributes:
        network_dtype: What its networks run in; the training loop sets it to that of the VAE's.
    """

    network_dtype: torch.dtype = torch.float32

    @abstractmethod
    def log_ratio(self, z: Float[Tensor, "batch latents"]) -> Float[Tensor, " batch"]:
        """The estimate of log q(z) / Π_j q(z_j), differentiable in z only."""

    @abstractmethod
    def learn(
        self,
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """Take a step of its own.

        Args:
            z: Samples of the VAE's batch, detached.
            fresh: Draws the given number of samples from another batch.
            step: Number of steps done.
            generator: Source of its random numbers.

        Returns:
            Terms for the log.
        """


class ObjectiveValue(NamedTuple):
    """A scalar to minimise, and the terms of it to log, in nats."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class Objective(ABC):
    """A loss of one pass through a VAE."""

    @abstractmethod
    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        """The loss of one pass.

        Args:
            output: The pass.
            step: Number of steps done, for schedules.
            n_data: Number of images in the data set.
            adversary: The result of `adversary`, for objectives that have one.
        """

    def adversary(self, n_latents: int) -> Adversary | None:
        """A new adversary of the objective; None for most."""
        return None

    def weights(self) -> str:
        """The weights of its terms in words, "KL × 4"; by default its numbers by name."""
        found = [(field.name, getattr(self, field.name)) for field in _fields(self)]
        return ", ".join(f"{name} {value:g}" for name, value in found if type(value) is float)


def _fields(objective: Objective) -> tuple[Field, ...]:
    return fields(objective) if is_dataclass(objective) else ()


def estimate_kl(output: VAEOutput, kind: KLEstimator = "sampled") -> Float[Tensor, " batch"]:
    """KL(q(z|x) || p(z)) of each image in nats; all kinds have the same expectation.

    Args:
        output: One pass.
        kind: "sampled": log q(z|x) - log p(z) at the sample (Eq. 12); "entropy": -log p(z) at the
            sample minus the closed-form entropy of q; "analytic": the closed form.

    Raises:
        ValueError: For "analytic", if the prior has no closed form.
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
            f"{output.prior} has none: use kl_estimator=sampled or kl_estimator=entropy"
        ) from None


def elbo_terms(output: VAEOutput, kind: KLEstimator) -> dict[str, Float[Tensor, ""]]:
    """The terms of the ELBO, in nats: means over the batch of log p(x|z) and of the KL."""
    return {
        "reconstruction": output.likelihood.log_prob(output.x).mean(),
        "kl": estimate_kl(output, kind).mean(),
    }


def linear_ramp(step: int, steps: int) -> float:
    """min(1, step / steps), the height of a linear ramp; 1 if it has no length.

    Examples:
        >>> [linear_ramp(step, 4) for step in (0, 1, 4, 9)], linear_ramp(0, 0)
        ([0.0, 0.25, 1.0, 1.0], 1.0)
    """
    return min(1.0, step / steps) if steps else 1.0


def check_nonnegative(**parameters: float | int) -> None:
    """Raise a ValueError that names the first parameter that is NaN or below 0."""
    for name, value in parameters.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0; got {value}")
