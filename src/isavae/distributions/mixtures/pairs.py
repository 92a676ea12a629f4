"""Log-densities of mixtures of diagonal normals, over all pairs of samples and components.

The logarithm of a normal density is a quadratic polynomial, so that those of all pairs are one
matrix product. Pairs are visited in blocks: no array holds all of them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.distributions.mixtures.spectra import UnresolvedMixtureError

_LOG_2PI = math.log(2 * math.pi)
# Pairs per block with gradients (16 MB in float64).
_BLOCK = 1 << 21
# Samples and components per block without gradients: 4 MB of float64, so that it stays in a cache.
_SAMPLES_AT_ONCE, _COMPONENTS_AT_ONCE = 256, 2048
# Of (μ/σ)²: beyond, the squares cancel to less than 1e-6 nats in float64.
_LARGEST_SQUARE = 1e10

LogWeights = Callable[[int, int], Float[Tensor, "rows components"]]


@final
@dataclass(frozen=True)
class QuadraticNormals:
    """Diagonal normals as polynomials: log N(z; μ, σ²) = [y², y, 1] · c with y = z - centre.

    A common centre does not change the densities and keeps the squares small, of which a part of
    (μ/σ)² cancels.

    Attributes:
        centre: Mean of the means.
        coefficients: c of every normal: [-1/2σ², (μ - centre)/σ², constant].
    """

    centre: Float[Tensor, " latents"]
    coefficients: Float[Tensor, "n terms"]

    @classmethod
    def from_normals(
        cls,
        mean: Float[Tensor, "n latents"],
        std: Float[Tensor, "n latents"],
        dtype: torch.dtype = torch.float64,
    ) -> "QuadraticNormals":
        # Widened first: in float32 a difference would be rounded by up to 1e-7 |μ|, many stds of a
        # narrow posterior.
        mean, std = mean.to(dtype), std.to(dtype)
        centre = mean.detach().mean(0)
        mean = mean - centre
        precision = std.square().reciprocal()
        constant = -(mean.square() * precision / 2 + std.log() + _LOG_2PI / 2).sum(1, keepdim=True)
        return cls(centre, torch.cat([-precision / 2, mean * precision, constant], dim=1))

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, rows: Tensor | slice) -> "QuadraticNormals":
        return QuadraticNormals(self.centre, self.coefficients[rows])

    def features(self, z: Float[Tensor, "samples latents"]) -> Float[Tensor, "samples terms"]:
        """[y², y, 1] of every sample."""
        y = z.to(self.coefficients.dtype) - self.centre
        return torch.cat([y.square(), y, torch.ones_like(y[:, :1])], dim=1)

    @property
    def mean_and_precision(self) -> tuple[Tensor, Tensor]:
        """μ - centre and 1/σ²."""
        latents = len(self.centre)
        precision = -2 * self.coefficients[:, :latents]
        return self.coefficients[:, latents : 2 * latents] / precision, precision

    def cancel(self) -> bool:
        """Whether the squares cancel so far that float64 loses more than 1e-6 nats."""
        mean, precision = self.mean_and_precision
        return bool((mean.square() * precision).amax() > _LARGEST_SQUARE)


@torch.no_grad()
def log_mixture(
    z: Float[Tensor, "samples latents"],
    components: QuadraticNormals,
    reference: Float[Tensor, "samples"],
) -> Float[Tensor, "samples"]:
    """Log 1/N Σ_n N(z; μ_n, σ_n²), without gradients.

    Args:
        z: Samples.
        components: The mixture's components, in float64.
        reference: A log-density near the largest component's at each z, such as that of the
            component that z was drawn from; it replaces a search for the largest.

    Raises:
        UnresolvedMixtureError: If a component is more than e^700 times as dense as the reference.

    Examples:
        >>> normals = QuadraticNormals.from_normals(torch.zeros(3, 1), torch.ones(3, 1))
        >>> log_mixture(torch.zeros(1, 1), normals, torch.tensor([-1.0]))  # -1/2 log 2π
        tensor([-0.9189], dtype=torch.float64)
    """
    reference = reference.double()
    log_ratios = _log_ratios_by_latent if components.cancel() else _log_ratios
    features, total = components.features(z), torch.zeros(len(z), dtype=torch.float64)
    for start in range(0, len(z), _SAMPLES_AT_ONCE):
        some = slice(start, start + _SAMPLES_AT_ONCE)
        for first in range(0, len(components), _COMPONENTS_AT_ONCE):
            block = components[first : first + _COMPONENTS_AT_ONCE]
            total[some] += log_ratios(features[some], block, reference[some, None]).exp_().sum(1)
    if not torch.isfinite(total).all():
        raise UnresolvedMixtureError(
            "log q(z) needs posteriors of comparable widths, but one is more than e^700 times as "
            "dense as another: look for latents with vanishing standard deviations."
        )
    return reference + total.log() - math.log(len(components))


def _log_ratios(
    features: Float[Tensor, "samples terms"],
    components: QuadraticNormals,
    reference: Float[Tensor, "samples 1"],
) -> Float[Tensor, "samples n"]:
    """Log-densities of all pairs, minus each sample's reference."""
    return torch.addmm(-reference, features, components.coefficients.T)


def _log_ratios_by_latent(
    features: Float[Tensor, "samples terms"],
    components: QuadraticNormals,
    reference: Float[Tensor, "samples 1"],
) -> Float[Tensor, "samples n"]:
    """The same from squares of differences: slower, but nothing cancels."""
    mean, precision = components.mean_and_precision
    total = (precision.log() - _LOG_2PI).sum(1) / 2 - reference
    for j in range(mean.shape[1]):
        y = features[:, mean.shape[1] + j, None]
        total -= (y - mean[:, j]).square_().mul_(precision[:, j] / 2)
    return total


@final
class LogWeightedSums(torch.autograd.Function):
    """log Σ_m w_im exp(samples_i · components_m), in blocks that backward computes again.

    Args:
        samples: One row a sample, such as `QuadraticNormals.features`.
        components: One row a component, such as `QuadraticNormals.coefficients`.
        log_weights: From the first and last sample (exclusive) of a block to its log w_im.
    """

    @staticmethod
    def forward(ctx, samples: Tensor, components: Tensor, log_weights: LogWeights) -> Tensor:
        blocks = _log_terms(samples, components, log_weights)
        result = torch.cat([terms.logsumexp(1) for _, terms in blocks])
        ctx.save_for_backward(samples, components, result)
        ctx.log_weights = log_weights
        return result

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        samples, components, result = ctx.saved_tensors
        to_samples, to_components = torch.empty_like(samples), torch.zeros_like(components)
        for rows, terms in _log_terms(samples, components, ctx.log_weights):
            shares = terms.sub_(result[rows, None]).exp_().mul_(grad[rows, None])
            to_samples[rows] = shares @ components
            to_components += shares.T @ samples[rows]
        return to_samples, to_components, None


def _log_terms(
    samples: Tensor, components: Tensor, log_weights: LogWeights
) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows and log w_im + samples_i · components_m, a block of rows at a time."""
    step = max(1, _BLOCK // len(components))
    for start in range(0, len(samples), step):
        rows = slice(start, min(start + step, len(samples)))
        weights = log_weights(rows.start, rows.stop).to(samples)
        yield rows, torch.addmm(weights, samples[rows], components.T)
