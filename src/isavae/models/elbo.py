"""The interface of objectives, and the terms of the ELBO that all of them use.

An objective is a frozen value. What changes in training, such as the weight of a regulariser, is a
function of the step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass, fields, is_dataclass
from math import inf
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import kl_divergence

from isavae.models.vae import VAEOutput

KLEstimator = Literal["sampled", "analytic", "entropy"]
Schedule = tuple[tuple[int, float], ...]


class Companion(nn.Module, ABC):
    """What an objective trains or keeps beside the VAE, from step to step.

    The training loop passes it to the objective, which calls it, and lets it learn after the VAE's
    step. All that it keeps is in its `state_dict`.

    Attributes:
        network_dtype: What its networks run in; the training loop sets it to that of the VAE's.
    """

    network_dtype: torch.dtype = torch.float32

    @abstractmethod
    def learn(
        self,
        terms: dict[str, Float[Tensor, ""]],
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """Take a step of its own.

        Args:
            terms: The terms of the objective, detached.
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
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        """The loss of one pass.

        Args:
            output: The pass.
            step: Number of steps done, for schedules.
            n_data: Number of images in the data set.
            companion: The result of `companion`, for objectives that have one.
        """

    def companion(self, n_latents: int) -> Companion | None:
        """A new companion of the objective; None for most."""
        return None

    def settled_from(self) -> int | None:
        """The first step from which no weight changes any more; None if that is not known."""
        return None

    def weights(self) -> str:
        """The weights of its terms in words, "KL × 4"; by default its numbers by name."""
        found = [(field.name, getattr(self, field.name)) for field in _fields(self)]
        return ", ".join(f"{name} {value:g}" for name, value in found if type(value) is float)


@dataclass(frozen=True, kw_only=True)
class Scheduled(Objective):
    """An objective whose regulariser has a weight that may change over the steps.

    Attributes:
        warmup: Number of steps over which the weight rises from 0.
        schedule: Points (step, factor) instead: the weight is multiplied by the factor, which is
            linear between two points and constant before the first and after the last one.

    Raises:
        ValueError: If both are given, or steps do not rise, or a number is negative.
    """

    warmup: int = 0
    schedule: Schedule = ()

    def __post_init__(self):
        check_nonnegative(warmup=self.warmup)
        steps = [step for step, _ in self.schedule]
        if self.warmup and steps:
            raise ValueError(
                f"an objective has a warmup or a schedule, not both; got a warmup of {self.warmup} "
                "steps and a schedule: begin the schedule with the point (0, 0)"
            )
        if sorted(set(steps)) != steps or any(not 0 <= n < inf for p in self.schedule for n in p):
            raise ValueError(
                "a schedule must be points (step, factor) of rising steps, no number below 0 or "
                f"infinite; got {self.schedule}"
            )

    def factor(self, step: int) -> float:
        """What the weight is multiplied by at a step.

        Examples:
            >>> from isavae.models import BetaVAE
            >>> falling = BetaVAE(schedule=((100, 16.0), (200, 1.0)))
            >>> [falling.factor(step) for step in (0, 150, 1000)]
            [16.0, 8.5, 1.0]
        """
        if not self.schedule:
            return linear_ramp(step, self.warmup)
        steps, factors = zip(*self.schedule, strict=True)
        return float(np.interp(step, steps, factors))

    def settled_from(self) -> int:
        return self.schedule[-1][0] if self.schedule else self.warmup


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
