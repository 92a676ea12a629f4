"""FactorVAE and its discriminator, which is trained beside the VAE (Kim & Mnih 2018)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from isavae.models.adam import load_adam
from isavae.models.elbo import (
    Companion,
    KLEstimator,
    ObjectiveValue,
    Scheduled,
    check_nonnegative,
    elbo_terms,
)
from isavae.models.precision import run_network, widened
from isavae.models.vae import VAEOutput


@final
@dataclass(frozen=True)
class FactorVAE(Scheduled):
    """The ELBO minus γ times the total correlation by the density-ratio trick (Kim & Mnih 2018).

    A discriminator learns to tell samples of q(z) from those of Π_j q(z_j), which are samples of a
    second batch with every latent permuted on its own.

    Args:
        gamma: Weight of the total correlation.
        kl_estimator: Estimator of the KL term, see `estimate_kl`.
        warmup: Number of steps over which gamma rises from 0.
        schedule: Points (step, factor) instead of a warmup: gamma is multiplied by
            the factor, which is linear in between.
        discriminator_learning_rate: Learning rate of the discriminator's Adam, betas (0.5, 0.9).
        discriminator_decay: Factor of the discriminator's learning rate per 1000 steps.
        discriminator_width: Units of each of the discriminator's five hidden layers.
        discriminator_share: Share of a batch that the discriminator learns from in a step.

    Raises:
        ValueError: If a width or share is out of its range.
    """

    gamma: float = 6.0
    kl_estimator: KLEstimator = "sampled"
    discriminator_learning_rate: float = 1e-4
    discriminator_decay: float = 1.0
    discriminator_width: int = 1000
    discriminator_share: float = 0.5
    name: Literal["factor-vae"] = "factor-vae"

    def __post_init__(self):
        check_nonnegative(gamma=self.gamma)
        super().__post_init__()
        if not 0 < self.discriminator_width <= 1 << 16:
            raise ValueError(
                f"discriminator_width must be 1 to {1 << 16:,}; got {self.discriminator_width}"
            )
        if not 0 < self.discriminator_share <= 1:
            raise ValueError(
                f"discriminator_share must be in (0, 1]; got {self.discriminator_share}"
            )

    def companion(self, n_latents: int) -> Companion:
        return DensityRatio(
            n_latents,
            self.discriminator_width,
            learning_rate=self.discriminator_learning_rate,
            decay=self.discriminator_decay,
            share=self.discriminator_share,
        )

    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, companion: Companion | None = None
    ) -> ObjectiveValue:
        if companion is None:
            raise ValueError("FactorVAE needs its companion; pass objective.companion(n_latents)")
        terms = elbo_terms(output, self.kl_estimator)
        terms["total_correlation"] = companion(output.z).mean()
        gamma = self.gamma * self.factor(step)
        loss = terms["kl"] + gamma * terms["total_correlation"] - terms["reconstruction"]
        return ObjectiveValue(loss, terms)

    def weights(self) -> str:
        return f"KL × 1, total correlation × {self.gamma:g}"


@final
class DensityRatio(Companion):
    """The discriminator of FactorVAE (Kim & Mnih 2018): six layers, leaky ReLU, two logits.

    Args:
        n_latents: Number of latents.
        width: Units of the five hidden layers.
        learning_rate: Learning rate of its Adam, betas (0.5, 0.9).
        decay: The learning rate is multiplied by this over every 1000 steps.
        share: Share of a batch that it learns from in a step.
    """

    def __init__(
        self,
        n_latents: int,
        width: int = 1000,
        *,
        learning_rate: float = 1e-4,
        decay: float = 1.0,
        share: float = 0.5,
    ):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (n_latents, width, width, width, width):
            layers += [nn.Linear(inputs, width), nn.LeakyReLU(0.2)]
        self.network = nn.Sequential(*layers, nn.Linear(width, 2))
        self.learning_rate, self.decay, self.share = learning_rate, decay, share

    @cached_property
    def optimizer(self) -> torch.optim.Adam:
        """Its Adam, made on first use, when the network is on its device."""
        weights = list(self.network.parameters())
        device = weights[0].device.type
        return torch.optim.Adam(
            weights,
            lr=self.learning_rate,
            betas=(0.5, 0.9),
            fused=device in ("cpu", "cuda"),
            capturable=device == "cuda",
        )

    def forward(self, z: Float[Tensor, "batch latents"]) -> Float[Tensor, " batch"]:
        """The estimate of log q(z) / Π_j q(z_j), differentiable in z only."""
        # The VAE's gradient passes through the discriminator and leaves nothing in it.
        weights = {name: value.detach() for name, value in self.network.named_parameters()}
        logits = self._logits(partial(torch.func.functional_call, self.network, weights), z)
        return logits[:, 0] - logits[:, 1]

    def learn(
        self,
        terms: dict[str, Float[Tensor, ""]],
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        count = max(1, round(self.share * len(z)))
        permuted = permuted_latents(fresh(count), generator)
        of_joint = self._logits(self.network, z[:count])
        of_product = self._logits(self.network, permuted)
        loss = (_cross_entropy(of_joint, 0) + _cross_entropy(of_product, 1)) / 2
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * self.decay ** (step / 1000)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"discriminator": loss.detach()}

    def _logits(self, network: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        return widened(run_network(network, z, self.network_dtype))

    def get_extra_state(self) -> dict[str, Any]:
        """The optimiser's state, so that a resumed run is the same bit for bit."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state from `get_extra_state`."""
        load_adam(self.optimizer, state)


def permuted_latents(
    z: Float[Tensor, "batch latents"], generator: torch.Generator
) -> Float[Tensor, "batch latents"]:
    """Samples of Π_j q(z_j): every latent permuted over the batch independently."""
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(0)
    return z.gather(0, order)


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    return F.cross_entropy(logits, logits.new_full((len(logits),), label, dtype=torch.int64))
