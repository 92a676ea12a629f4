"""ControlVAE: a controller chooses the weight of the KL so that the KL stays where it should be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.models.elbo import (
    Companion,
    KLEstimator,
    Objective,
    ObjectiveValue,
    check_nonnegative,
    elbo_terms,
    linear_ramp,
)
from isavae.models.vae import VAEOutput


@final
@dataclass(frozen=True)
class ControlVAE(Objective):
    """`-log p(x|z) + β(t) KL`, β(t) such that the KL follows a capacity C (Shao et al. 2020).

    A proportional-integral controller sets β from the distance e(t) = C(t) - KL(t),
    `β(t) = proportional / (1 + exp(e(t))) - integral Σ_{j≤t} e(j) + lowest`, within [lowest,
    highest]. The term of the sum stays within these bounds, too, so that β leaves a bound as soon
    as e changes its sign; the published code leaves out distances while β is below the lowest.

    Args:
        capacity: C at the end, in nats.
        capacity_steps: Number of steps over which C rises from 0.
        proportional: K_p, the gain of the controller's proportional term.
        integral: K_i, the gain of its integral term, per step.
        lowest: The least β.
        highest: The largest β.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.

    Raises:
        ValueError: If a number is negative, or `highest` below `lowest`.
    """

    capacity: float = 18.0
    capacity_steps: int = 5000
    proportional: float = 0.01
    integral: float = 0.001
    lowest: float = 1.0
    highest: float = 100.0
    kl_estimator: KLEstimator = "sampled"
    name: Literal["control-vae"] = "control-vae"

    def __post_init__(self):
        check_nonnegative(
            capacity=self.capacity,
            capacity_steps=self.capacity_steps,
            proportional=self.proportional,
            integral=self.integral,
            lowest=self.lowest,
        )
        if not self.lowest <= self.highest:
            raise ValueError(
                f"highest must be at least lowest; got {self.highest:g} and {self.lowest:g}"
            )

    def companion(self, n_latents: int) -> Companion:
        return KLController(self)

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        if companion is None:
            raise ValueError("ControlVAE needs its companion; pass objective.companion(n_latents)")
        terms = elbo_terms(output, self.kl_estimator)
        beta = companion(terms["kl"].detach(), step)
        return ObjectiveValue(beta * terms["kl"] - terms["reconstruction"], terms | {"beta": beta})

    def settled_from(self) -> int:
        return self.capacity_steps

    def weights(self) -> str:
        return (
            f"KL × {self.lowest:g} to {self.highest:g}, such that it follows {self.capacity:g} nats"
        )


@final
class KLController(Companion):
    """The controller of `ControlVAE`.

    Args:
        settings: The objective.

    Attributes:
        summed: `-integral Σ e(j)` over the steps done.
    """

    summed: Float[Tensor, ""]

    def __init__(self, settings: ControlVAE):
        super().__init__()
        self.settings = settings
        self.register_buffer("summed", torch.zeros(()))

    def forward(self, kl: Float[Tensor, ""], step: int) -> Float[Tensor, ""]:
        """β of a step, from its KL."""
        s, error = self.settings, self._error(kl, step)
        beta = s.proportional * torch.sigmoid(-error) + self._summed_with(error) + s.lowest
        return beta.clamp(s.lowest, s.highest)

    def learn(
        self,
        terms: dict[str, Float[Tensor, ""]],
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        self.summed.copy_(self._summed_with(self._error(terms["kl"], step)))
        return {}

    def _error(self, kl: Tensor, step: int) -> Tensor:
        s = self.settings
        return s.capacity * linear_ramp(step, s.capacity_steps) - kl

    def _summed_with(self, error: Tensor) -> Tensor:
        s = self.settings
        following = self.summed - s.integral * error
        return following.clamp(-s.proportional, s.highest - s.lowest)
