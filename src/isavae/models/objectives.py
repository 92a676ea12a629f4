"""Training objectives: pure functions of one `VAEOutput`, to be minimised.

ISA-VAE is `BetaVAE` with an ISA prior; no objective knows the prior's family.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from isavae.models.vae import VAEOutput


class ObjectiveValue(NamedTuple):
    """A scalar to minimise and the named terms of it that are worth a line in a log (nats)."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


@final
@dataclass(frozen=True)
class BetaVAE:
    """The negative β-ELBO, `-log p(x|z) + β (log q(z|x) - log p(z))` (Eqs. 2 and 12).

    The KL divergence is estimated by the one posterior sample, for every prior.

    Args:
        beta: weight of the KL term; 1 is the ELBO.
    """

    beta: float = 1.0
    name: Literal["beta-vae"] = "beta-vae"

    def __post_init__(self):
        if not self.beta >= 0:
            raise ValueError(f"beta must be at least 0; got {self.beta}")

    def __call__(self, output: VAEOutput, *, step: int, n_data: int) -> ObjectiveValue:
        reconstruction = output.likelihood.log_prob(output.x).mean()
        kl = (output.posterior.log_prob(output.z) - output.prior.log_prob(output.z)).mean()
        return ObjectiveValue(
            self.beta * kl - reconstruction, {"reconstruction": reconstruction, "kl": kl}
        )


Objective = BetaVAE

OBJECTIVES: dict[str, type[Objective]] = {"beta-vae": BetaVAE}
