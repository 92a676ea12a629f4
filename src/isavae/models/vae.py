"""The variational autoencoder, independent of prior, likelihood, objective and data."""

from dataclasses import dataclass
from enum import Enum
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isavae.distributions import LpNested
from isavae.models.likelihoods import Likelihood
from isavae.models.precision import run_network, widened
from isavae.models.priors import Prior, as_prior

# Below this std, 1e-7, noise added to a mean of float32 changes nothing. Log-densities divide by
# the fourth power of the std, which underflows from 1e-11 on.
LEAST_LOG_STD = -16.0


@final
@dataclass(frozen=True)
class VAEOutput:
    """One pass through a VAE: the images, one posterior sample, and three distributions.

    Attributes:
        x: Images, (batch, channels, height, width).
        z: One sample of the posterior per image, (batch, latents).
        posterior: q(z|x), batch shape (batch,), event shape (latents,).
        prior: p(z), event shape (latents,).
        likelihood: p(x|z), batch shape (batch,), event shape of an image.
    """

    x: Float[Tensor, "batch channels height width"]
    z: Float[Tensor, "batch latents"]
    posterior: Independent
    prior: Distribution
    likelihood: Distribution

    @property
    def subspaces(self) -> tuple[slice, ...]:
        """The prior's independent groups of latents; single latents if it has none."""
        singles = tuple(slice(j, j + 1) for j in range(self.z.shape[1]))
        return getattr(self.prior, "subspaces", singles)


@final
class VAE(nn.Module):
    """Encoder, decoder, prior and likelihood as one model.

    Args:
        encoder: Network from images to (batch, 2 latents), the mean and log-std of q(z|x).
        decoder: Network from latents to the likelihood's parameters, (batch, channels, height,
            width) for the Bernoulli likelihood.
        prior: A module that returns p(z), or an `LpNested`, which is not learned.
        likelihood: A module from the decoder's output to p(x|z).

    Raises:
        TypeError: If `likelihood` is no `Likelihood`.

    The networks run in `network_dtype` (bfloat16 by autocast where set); posterior, prior and
    likelihood are always computed in the weights' own precision.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: Prior | LpNested,
        likelihood: Likelihood,
    ):
        super().__init__()
        if not isinstance(likelihood, Likelihood):
            raise TypeError(
                "a likelihood must be an isavae.models.Likelihood; got "
                f"{likelihood!r}: take build_likelihood() of its name, such as 'bernoulli'"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.prior = as_prior(prior)
        self.likelihood = likelihood
        self.network_dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return next(self.parameters()).device

    def moments(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch latents"], Float[Tensor, "batch latents"]]:
        """Mean and log-std of q(z|x), which is at least `LEAST_LOG_STD`.

        Below, its gradient stays that of the network's output, so that training leads back.

        Raises:
            ValueError: If the encoder gives another number of values per image.
        """
        moments = run_network(self.encoder, x, self.network_dtype)
        if moments.shape[1:] != (2 * self.prior.n_latents,):
            raise ValueError(
                f"an encoder must give mean and log-std of {self.prior.n_latents} latents, (batch, "
                f"{2 * self.prior.n_latents}); got {tuple(moments.shape)}: change its last layer"
            )
        mean, log_std = widened(moments).chunk(2, dim=-1)
        return mean, log_std + (LEAST_LOG_STD - log_std).clamp(min=0).detach()

    def encode(self, x: Float[Tensor, "batch channels height width"]) -> Independent:
        """The posterior q(z|x), a diagonal normal over latents."""
        mean, log_std = self.moments(x)
        return Independent(Normal(mean, log_std.exp(), validate_args=False), 1)

    def decode(self, z: Float[Tensor, "batch latents"]) -> Distribution:
        """The likelihood p(x|z)."""
        decoded = run_network(self.decoder, z, self.network_dtype)
        return self.likelihood(decoded if self.likelihood.widens else widened(decoded))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch latents"] | torch.Generator | None = None,
    ) -> VAEOutput:
        """Encode, take one reparameterised sample, decode.

        Args:
            x: Images.
            noise: Standard normal noise of the sample, or the generator that draws it; by default
                torch's own.
        """
        posterior = self.encode(x)
        normal = posterior.base_dist
        if not isinstance(noise, Tensor):
            noise = torch.randn(
                normal.loc.shape, generator=noise, device=x.device, dtype=normal.loc.dtype
            )
        z = normal.loc + normal.scale * noise
        return VAEOutput(x, z, posterior, self.prior(), self.decode(z))


@final
class NoiseStream(Enum):
    """Independent random numbers of the same seed and step. The values are part of every result."""

    POSTERIOR = 0
    EVALUATION = 1
    SECOND_BATCH = 2
    COMPANION = 3


def noise_generator(
    seed: int, step: int, device: torch.device, stream: NoiseStream = NoiseStream.POSTERIOR
) -> torch.Generator:
    """A random generator that depends on (seed, step, stream) only.

    Args:
        seed: The run's seed.
        step: Number of steps done, or of blocks in an evaluation.
        device: Where the numbers are drawn.
        stream: The purpose of the numbers.
    """
    words = np.random.SeedSequence([seed, step, stream.value]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(words[0] >> np.uint64(1)))
