"""Distribution and quantile functions of the standard generalised normal, with all derivatives.

F(p, x) is the probability below x under p / (2 Γ(1/p)) exp(-|x|^p). Its derivative in x is that
density; torch has none of the incomplete gamma function in its order, so that in p it is a central
difference in float64, to about nine digits, and five where F is 1e-12. Quantiles are differentiated
implicitly. Derivatives are written in terms of the functions themselves: any order, forward and
backward.
"""

import math
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import Function

# Relative step in p: the error of the difference, its fourth power, is about that of rounding.
_STEP = 1e-3
# Of |x|^p: below, the density differs from that at 0 by less than the rounding.
_FLAT = 1e-17


class _OfInputs(Function):
    """A function whose derivatives are computed from its inputs."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


@final
class StandardCDF(_OfInputs):
    """F(p, x), of float64 tensors of one shape."""

    @staticmethod
    def forward(p: Tensor, x: Tensor) -> Tensor:
        below = _probability_below(p, x.abs().log())
        return torch.where(x > 0, 1 - below, below)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyrefly: ignore
        return tuple(grad * slope for slope in _cdf_slopes(*ctx.saved_tensors))

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:  # pyrefly: ignore
        return _directional(_cdf_slopes(*ctx.saved_tensors), tangents)


@final
class StandardQuantile(_OfInputs):
    """x with F(p, x) = u for u in [0, 1/2], to the last digits, of float64 tensors of one shape.

    By bisection of log(-x); NaN for u < 0 and NaN.
    """

    @staticmethod
    def forward(p: Tensor, u: Tensor) -> Tensor:
        low, high = torch.full_like(p, -100.0), math.log(1000) / p  # e^-1000 underflows
        for _ in range(70):
            middle = (low + high) / 2
            beyond = _probability_below(p, middle) > u
            low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
        size = torch.where(u == 0, math.inf, torch.where(u == 0.5, 0.0, high.exp()))
        return torch.where(u >= 0, -size, math.nan)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyrefly: ignore
        return tuple(grad * slope for slope in _quantile_slopes(*ctx.saved_tensors))

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:  # pyrefly: ignore
        return _directional(_quantile_slopes(*ctx.saved_tensors), tangents)


def _probability_below(p: Tensor, log_size: Tensor) -> Tensor:
    """F(p, -x) of x = exp(log_size)."""
    power = (p * log_size).exp()
    # At p = 100 the power of x = 0.0005 underflows, as if x were 0. The density is flat there.
    near = (1 - log_size.exp() / (1 + 1 / p).lgamma().exp()) / 2
    return torch.where(power < _FLAT, near, torch.special.gammaincc(1 / p, power) / 2)


def _cdf_slopes(p: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of F in p and in x."""
    near, far = (
        StandardCDF.apply(p * (1 + k * _STEP), x) - StandardCDF.apply(p * (1 - k * _STEP), x)
        for k in (1, 2)
    )
    in_p = (8 * near - far) / (12 * _STEP * p)
    # |x|^p from its logarithm, whose slope in p is finite at x = 0.
    power = (p * x.abs().clamp_min(torch.finfo(x.dtype).tiny).log()).exp()
    return in_p, (-power - torch.lgamma(1 + 1 / p)).exp() / 2


def _quantile_slopes(p: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the quantile in p and in u, from F(p, x(p, u)) = u."""
    x = StandardQuantile.apply(p, u)
    in_p, density = _cdf_slopes(p, x)
    # At u = 0 the quantile is -∞ for every p.
    return torch.where(x.isinf(), 0.0, -in_p / density), 1 / density


def _directional(slopes: tuple[Tensor, Tensor], tangents: tuple[Tensor | None, ...]) -> Tensor:
    """The derivative along tangents; None is a zero."""
    pairs = zip(slopes, tangents, strict=True)
    return torch.stack([slope * tangent for slope, tangent in pairs if tangent is not None]).sum(0)
