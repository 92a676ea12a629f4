"""Log-densities of mixtures of diagonal normals, over all pairs of samples and components.

The logarithm of a normal density is a quadratic polynomial, so that those of all pairs are one
matrix product. Pairs are visited in blocks: no array holds all of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from isavae.distributions.mixtures.spectra import UnresolvedMixtureError

_LOG_2PI = math.log(2 * math.pi)
# Pairs per block with gradients: 2 MB of float64, which stay in a cache, and on a GPU 512 MB, since
# many small operations take longer to launch there than to compute.
_BLOCK, _BLOCK_ON_GPU = 1 << 18, 1 << 26
# Samples and components per block without gradients: 4 MB of float64, so that it stays in a cache.
_SAMPLES_AT_ONCE, _COMPONENTS_AT_ONCE = 256, 2048
# Logarithms of shares of a sum: a smaller one does not count, and exp takes thirty times as long
# where it underflows.
_LEAST_LOG = {torch.float32: -50.0, torch.float64: -700.0}
# Of (μ/σ)²: beyond, the squares cancel to less than 1e-6 nats in float64.
_LARGEST_SQUARE = 1e10


@final
@dataclass(frozen=True)
class QuadraticNormals:
    """Diagonal normals as polynomials: log N(z; μ, σ²) = [y², y, 1] · c with y = z - centre.

    A common centre does not change the densities and keeps the squares small, of which a part of
    (μ/σ)² cancels. Leading axes hold several sets of normals.

    Attributes:
        centre: Mean of the means.
        coefficients: c of every normal: [-1/2σ², (μ - centre)/σ², constant].
    """

    centre: Float[Tensor, "*sets 1 latents"]
    coefficients: Float[Tensor, "*sets n terms"]

    @classmethod
    def from_normals(
        cls,
        mean: Float[Tensor, "*sets n latents"],
        std: Float[Tensor, "*sets n latents"],
        dtype: torch.dtype = torch.float64,
    ) -> "QuadraticNormals":
        """Normals by their means and standard deviations, one set or several.

        Args:
            mean: (…, n, latents).
            std: (…, n, latents), positive.
            dtype: What to compute in.
        """
        # Widened first: in float32 a difference would be rounded by up to 1e-7 |μ|, many stds of a
        # narrow posterior.
        mean, std = mean.to(dtype), std.to(dtype)
        centre = mean.detach().mean(-2, keepdim=True)
        mean = mean - centre
        precision = std.square().reciprocal()
        constant = -(mean.square() * precision / 2 + std.log() + _LOG_2PI / 2).sum(-1, keepdim=True)
        return cls(centre, torch.cat([-precision / 2, mean * precision, constant], dim=-1))

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, rows: Tensor | slice) -> "QuadraticNormals":
        return QuadraticNormals(self.centre, self.coefficients[rows])

    def features(
        self, z: Float[Tensor, "*sets samples latents"]
    ) -> Float[Tensor, "*sets samples terms"]:
        """[y², y, 1] of every sample."""
        y = z.to(self.coefficients.dtype) - self.centre
        return torch.cat([y.square(), y, torch.ones_like(y[..., :1])], dim=-1)

    @property
    def mean_and_precision(self) -> tuple[Tensor, Tensor]:
        """μ - centre and 1/σ²."""
        latents = self.centre.shape[-1]
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
            logs = log_ratios(features[some], block, reference[some, None])
            total[some] += logs.clamp_(min=_LEAST_LOG[logs.dtype]).exp_().sum(1)
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
        samples: (sets, samples, terms), such as `QuadraticNormals.features`.
        components: (sets, n, terms), such as `QuadraticNormals.coefficients`.
        exceptions: (samples, exceptions), the components of each sample whose weight is not 1; all
            sets share them.
        log_weights: (samples, exceptions), the logarithms of their weights.

    Returns:
        Shape (sets, samples).
    """

    @staticmethod
    def forward(ctx, samples: Tensor, components: Tensor, exceptions: Tensor, log_weights: Tensor):
        blocks = _log_terms(samples, components, exceptions, log_weights)
        result = torch.cat([_exp_and_log_sum(terms)[0] for _, terms in blocks], dim=1)
        ctx.save_for_backward(samples, components, exceptions, log_weights, result)
        return result

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad,) = grads
        samples, components, exceptions, log_weights, result = ctx.saved_tensors
        to_samples, to_components = torch.empty_like(samples), torch.zeros_like(components)
        for rows, terms in _log_terms(samples, components, exceptions, log_weights):
            shares = terms.sub_(result[:, rows, None]).clamp_(min=_LEAST_LOG[terms.dtype]).exp_()
            slopes = grad[:, rows, None]
            to_samples[:, rows] = slopes * (shares @ components)
            to_components.baddbmm_(shares.mT, slopes * samples[:, rows])
        return to_samples, to_components, None, None


def _log_terms(
    samples: Tensor, components: Tensor, exceptions: Tensor, log_weights: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows and log w_im + samples_i · components_m, a block of rows at a time."""
    sets, n, _ = components.shape
    pairs_at_once = _BLOCK if samples.device.type == "cpu" else _BLOCK_ON_GPU
    step = max(1, pairs_at_once // (sets * n))
    for start in range(0, samples.shape[1], step):
        rows = slice(start, start + step)
        terms = samples[:, rows] @ components.mT
        if exceptions.numel():
            index, values = (a[rows].expand(sets, -1, -1) for a in (exceptions, log_weights))
            terms.scatter_add_(2, index, values)
        yield rows, terms


@final
class LogSumsOfSmallBatch(torch.autograd.Function):
    """log Σ_m w_im N(z_i; μ_m, σ_m²) over all latents and for each of them, holding all pairs.

    A tenth of the operations of `LogWeightedSums`, which is what counts for a small batch. Nothing
    cancels, so that the inputs' own precision is enough.

    Args:
        z: (samples, latents).
        mean: (components, latents).
        std: (components, latents).
        log_weights: log w_im, (samples, components).

    Returns:
        Of all latents, (samples,); of each latent, (samples, latents).
    """

    @staticmethod
    def forward(ctx, z: Tensor, mean: Tensor, std: Tensor, log_weights: Tensor):
        z, mean, std = (a.T.contiguous() for a in (z, mean, std))
        precision = std[:, None].reciprocal()
        # Farther out a density is 0, and its slope must not become 0 * infinity.
        deviations = ((z[:, :, None] - mean[:, None]) * precision).clamp_(-1e15, 1e15)
        constants = precision.log() - _LOG_2PI / 2
        terms = torch.addcmul(constants, deviations, deviations, value=-0.5)
        joint_terms = terms.sum(0).add_(log_weights)
        joint, joint_total = _exp_and_log_sum(joint_terms)
        marginals, total = _exp_and_log_sum(terms.add_(log_weights))
        shares = joint_terms.div_(joint_total), terms.div_(total)
        ctx.save_for_backward(precision[:, 0], deviations, *shares)
        return joint, marginals.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyrefly: ignore
        to_joint, to_marginals = grads
        precision, deviations, joint_shares, shares = ctx.saved_tensors
        weights = shares * to_marginals.T[..., None] + joint_shares * to_joint[:, None]
        slopes = weights * deviations
        to_z = -(slopes @ precision[..., None])[..., 0].T
        to_mean = (slopes.sum(1) * precision).T
        to_std = (((slopes * deviations).sum(1) - weights.sum(1)) * precision).T
        return to_z, to_mean, to_std, None


def _exp_and_log_sum(terms: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the sum of exp(terms) over the last axis, and the sum that it is taken of.

    Args:
        terms: Logarithms. They are overwritten by exp(terms), up to a factor per row; divided by
            the second result they are the shares of the sum.

    Returns:
        The logarithm, without the last axis; the sum up to the same factor, with it.
    """
    largest = terms.amax(-1, keepdim=True)
    total = terms.sub_(largest).clamp_(min=_LEAST_LOG[terms.dtype]).exp_().sum(-1, keepdim=True)
    return (largest + total.log())[..., 0], total
