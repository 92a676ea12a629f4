"""Players that are trained beside a VAE: the interface of adversarial objectives.

The training loop passes the adversary to the objective, and lets it learn after the VAE's step.
For objectives without one, `NoAdversary` has nothing to say and nothing to learn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Adversary(nn.Module, ABC):
    """A module that judges samples of q(z), with an optimiser in its own state."""

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
            z: samples of the VAE's batch, detached.
            fresh: draws the given number of samples from another batch.
            step: number of steps done.
            generator: of its random numbers.

        Returns:
            Terms for the log.
        """


@final
class NoAdversary(Adversary):
    """The adversary of objectives that need none."""

    def log_ratio(self, z: Float[Tensor, "batch latents"]) -> Float[Tensor, " batch"]:
        raise ValueError("an adversarial objective needs its own adversary, not NoAdversary")

    def learn(
        self,
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        return {}


@final
class DensityRatio(Adversary):
    """The discriminator of FactorVAE (Kim & Mnih 2018): six layers, leaky ReLU, two logits.

    Args:
        n_latents: number of latents.
        width: units of the five hidden layers.
        learning_rate: learning rate of its Adam, betas (0.5, 0.9).
        decay: the learning rate is multiplied by this over every 1000 steps.
        share: share of a batch that it learns from in a step.
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
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=learning_rate, betas=(0.5, 0.9)
        )

    def log_ratio(self, z: Float[Tensor, "batch latents"]) -> Float[Tensor, " batch"]:
        # The VAE's gradient passes through the discriminator and leaves nothing in it.
        weights = {name: value.detach() for name, value in self.network.named_parameters()}
        logits = torch.func.functional_call(self.network, weights, (z,))
        return logits[:, 0] - logits[:, 1]

    def learn(
        self,
        z: Float[Tensor, "batch latents"],
        fresh: Callable[[int], Float[Tensor, "others latents"]],
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        count = max(1, round(self.share * len(z)))
        permuted = permuted_latents(fresh(count), generator)
        true = self.network(z[:count])
        false = self.network(permuted)
        loss = (_cross_entropy(true, 0) + _cross_entropy(false, 1)) / 2
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * self.decay ** (step / 1000)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"discriminator": loss.detach()}

    def get_extra_state(self) -> dict[str, Any]:
        """The optimiser's state, so that a resumed discriminator goes on bit for bit."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` gave."""
        self.optimizer.load_state_dict(state)


def permuted_latents(
    z: Float[Tensor, "batch latents"], generator: torch.Generator
) -> Float[Tensor, "batch latents"]:
    """Permute every latent over the batch on its own: samples of Π_j q(z_j)."""
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(0)
    return z.gather(0, order)


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    return F.cross_entropy(logits, logits.new_full((len(logits),), label, dtype=torch.int64))
