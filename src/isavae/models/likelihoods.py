"""Decoder output to a distribution over images: p(x|z)."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import inf, nan, pi
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Distribution,
    Independent,
    Laplace,
    Normal,
)
from torch.nn import functional as F

from isavae.models.precision import wide, widened

# Pixels whose logits, values and log-probabilities stay in a CPU's cache (512 KB each).
_BLOCK = 1 << 17
# A spread below a quarter of a grey level (1/255) models rounding, not images.
SMALLEST_SPREAD = 1e-3


class Likelihood(nn.Module, ABC):
    """A module from a decoder's output, `parameters_per_pixel` channels per pixel, to p(x|z).

    Attributes:
        parameters_per_pixel: Channels of the decoder's output per channel of an image.
        widens: Whether it takes outputs of a network that runs in bfloat16 as they are, and
            computes in float32 itself; a VAE widens them otherwise.
    """

    parameters_per_pixel: int = 1
    widens: bool = False

    @abstractmethod
    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        """The distribution over images, with their shape as event shape."""


@final
class BernoulliLikelihood(Likelihood):
    """Pixels in [0, 1] as independent Bernoulli variables with the decoder's logits (A.4)."""

    widens = True

    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        return _BernoulliImages(decoded)


@final
class _BernoulliImages(Independent):
    """Images of Bernoulli pixels, with a log-probability that stays in the caches.

    A training step asks for nothing else: the distribution of the pixels, with all logits widened,
    is built where something else is asked for.
    """

    def __init__(self, logits: Tensor):
        self._logits, self.reinterpreted_batch_ndims = logits, 3
        Distribution.__init__(self, logits.shape[:-3], logits.shape[-3:], validate_args=False)

    @cached_property
    def base_dist(self) -> Bernoulli:  # pyrefly: ignore[bad-override]
        return Bernoulli(logits=widened(self._logits), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "_BernoulliImages":
        return _BernoulliImages(self._logits.expand(*batch_shape, *self.event_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, x = torch.broadcast_tensors(self._logits, value)  # pyrefly: ignore
        rows = logits.flatten(-3).flatten(0, -2), x.flatten(-3).flatten(0, -2)
        return _BernoulliLogProb.apply(*rows).reshape(logits.shape[:-3])


@final
class _BernoulliLogProb(torch.autograd.Function):
    """Σ log p(x) = Σ x l - softplus(l) of each row, for logits l, and its slope x - sigmoid(l).

    Pixel by pixel, so that x l and softplus(l), which are large, cancel before they are summed.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        sums = logits.new_empty(logits.shape[:-1], dtype=wide(logits.dtype))
        for out, narrow, pixel in _blocks(sums, logits, x):
            logit = widened(narrow)
            torch.sum(F.softplus(logit).neg_().addcmul_(logit, pixel), -1, out=out)
        return sums

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (logits, x), slope = ctx.saved_tensors, slopes[0][:, None]
        of_logits, of_x = ctx.needs_input_grad
        return (
            _slopes_of_logits(logits, x, slope) if of_logits else None,
            widened(logits) * slope if of_x else None,
        )


def _slopes_of_logits(logits: Tensor, x: Tensor, slope: Tensor) -> Tensor:
    if torch.is_grad_enabled():  # second derivatives are asked for
        return (x - widened(logits).sigmoid()).mul(slope)
    slopes = torch.empty_like(logits)
    for out, logit, pixel, s in _blocks(slopes, logits, x, slope):
        torch.mul(pixel - widened(logit).sigmoid(), s, out=out)
    return slopes


def _blocks(*arrays: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The rows of some matrices, as many at a time as stay in a CPU's cache."""
    rows = len(arrays[0])
    if arrays[0].device.type == "cpu":
        rows = max(1, _BLOCK // arrays[1].shape[1])
    return zip(*(array.split(rows) for array in arrays), strict=True)


@final
class ContinuousBernoulliLikelihood(Likelihood):
    """Pixels in [0, 1] with a density that integrates to one (Loaiza-Ganem & Cunningham 2019)."""

    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        return Independent(ContinuousBernoulli(logits=decoded, validate_args=False), 3)


class LocationScaleLikelihood(Likelihood, ABC):
    """Pixels distributed around the decoder's output, with a fixed, learned or decoded spread.

    Args:
        spread: A fixed number; "shared", one learned number for all pixels; or "pixelwise", decoded
            for every pixel of every image.
    """

    def __init__(self, spread: float | str = "shared"):
        super().__init__()
        self.spread = spread
        self.parameters_per_pixel = 2 if spread == "pixelwise" else 1
        if spread == "shared":
            self.raw = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def _distribution(self, loc: Tensor, spread: Tensor) -> Distribution:
        """The distribution of the pixels."""

    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        loc, raw = decoded, getattr(self, "raw", None)
        if self.spread == "pixelwise":
            loc, raw = decoded.chunk(2, dim=1)
        if raw is None:
            spread = torch.full_like(loc, float(self.spread))
        else:
            spread = (SMALLEST_SPREAD + F.softplus(raw)).expand_as(loc)
        return Independent(self._distribution(loc, spread), 3)


@final
class GaussianLikelihood(LocationScaleLikelihood):
    """Normal pixels; the spread is the standard deviation σ."""

    def _distribution(self, loc: Tensor, spread: Tensor) -> Distribution:
        return Normal(loc, spread, validate_args=False)


@final
class CalibratedGaussianLikelihood(Likelihood):
    """Normal pixels whose variance is the mean squared error (Rybkin et al. 2021).

    In training it is that of the batch, under which the batch is most likely: no σ has to be
    chosen, or learned in thousands of steps. Afterwards it is a mean over the last 100 batches.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        return _CalibratedImages(self, decoded)

    def variance_of(self, error: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The variance for a batch with that mean squared error."""
        if not self.training:
            return self.variance
        error = error.clamp(min=SMALLEST_SPREAD**2)
        self.batches += 1
        self.variance.lerp_(
            error.to(self.variance), self.batches.reciprocal().clamp(min=1 / _AVERAGED)
        )
        return error


# Batches over which a calibrated variance is averaged.
_AVERAGED = 100


@final
class _CalibratedImages(Independent):
    """Images of normal pixels; in training the variance is that of the images in `log_prob`."""

    def __init__(self, likelihood: CalibratedGaussianLikelihood, loc: Tensor):
        spread = likelihood.variance.sqrt().expand_as(loc)
        super().__init__(Normal(loc, spread, validate_args=False), 3)
        self._likelihood = likelihood

    def log_prob(self, value: Tensor) -> Tensor:
        squares = (value - self.base_dist.loc).square().flatten(-3)  # pyrefly: ignore
        variance = self._likelihood.variance_of(squares.detach().mean())
        pixels = squares.shape[-1]
        return -0.5 * (squares.sum(-1) / variance + pixels * (2 * pi * variance).log())


@final
class LaplaceLikelihood(LocationScaleLikelihood):
    """Laplace pixels; the spread is the mean absolute deviation."""

    def _distribution(self, loc: Tensor, spread: Tensor) -> Distribution:
        return Laplace(loc, spread, validate_args=False)


# Every likelihood by its name in settings; `build_likelihood` also fixes the spread of some.
LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "gaussian-calibrated": CalibratedGaussianLikelihood,
    "gaussian-pixelwise": lambda: GaussianLikelihood("pixelwise"),
    "laplace": LaplaceLikelihood,
    "laplace-pixelwise": lambda: LaplaceLikelihood("pixelwise"),
}


def build_likelihood(name: str) -> Likelihood:
    """The likelihood of that name; `gaussian(0.1)` and `laplace(0.1)` fix the spread.

    Args:
        name: A key of `LIKELIHOODS`, or one of the two with a number.

    Raises:
        ValueError: For an unknown name, or a spread that is not positive.

    Examples:
        >>> build_likelihood("gaussian(0.1)")(torch.zeros(2, 1, 4, 4)).stddev.unique()
        tensor([0.1000])
    """
    fixed = re.fullmatch(r"(gaussian|laplace)\(([^()]*)\)", name)
    if fixed:
        spread = _positive(fixed[2], name)
        return (GaussianLikelihood if fixed[1] == "gaussian" else LaplaceLikelihood)(spread)
    if name not in LIKELIHOODS:
        raise ValueError(
            f"a likelihood must be one of {', '.join(LIKELIHOODS)}, gaussian(σ) or laplace(b); "
            f"got {name!r}"
        )
    return LIKELIHOODS[name]()


def _positive(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value < inf:
        raise ValueError(f"a likelihood's spread must be a positive number; got {name!r}")
    return value
