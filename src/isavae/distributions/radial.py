"""Radial distributions: that of Eq. 11, and others, whose expectations take quadrature."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import hardtanh

_NODES = 2001
_WIDEST = 8.0  # sinh(8) = 1500 standard deviations of log v
_MASS_TOLERANCE = 1e-4
_SMOOTH = (
    "The radial distribution must have a smooth density with finite mean and variance for an "
    "expectation by quadrature"
)
# e^700 is the edge of float64, e^88 of float32. Capping the logarithm of f^p0 there keeps the
# gradient of a power that overflows free of ∞·0.
_LARGEST_LOG = {torch.float64: 700.0, torch.float32: 88.0}


def check_radial(radial: Distribution, scale: Tensor | float | int) -> None:
    """Raise a ValueError unless `radial` is over the positive numbers and the scale is 1."""
    support: Any = radial.support
    lowest = torch.as_tensor(getattr(support, "lower_bound", -math.inf))
    on_positive = not support.is_discrete and bool((lowest >= 0).all())
    if radial.event_shape or not on_positive:
        raise ValueError(
            "The radial distribution must be one-dimensional, continuous and over the positive "
            f"numbers, not {radial}: take for example Gamma or LogNormal."
        )
    if isinstance(scale, Tensor) or scale != 1.0:
        raise ValueError(
            "The scale s belongs to the radial distribution of Eq. 11, which `radial` replaces: "
            f"pass one of the two, not {scale} and {radial}."
        )


def log_shape_of_eq_11(log_v: Tensor, p0: Tensor, log_s: Tensor) -> Tensor:
    """-v^p0 / s, the part of Eq. 7 that depends on v = f(z), under the distribution of Eq. 11."""
    log_power = p0 * log_v - log_s
    # As a clamp, whose gradient takes four kernels instead of one.
    return -hardtanh(log_power, -math.inf, _LARGEST_LOG[p0.dtype]).exp()


def log_shape(radial: Distribution, log_v: Tensor, n: int) -> Tensor:
    """Log ψ(v) - (n - 1) log v, the part of Eq. 7 that depends on v = f(z), for another ψ."""
    # Below this radius a slope of log ψ, of the order 1/v, would overflow.
    v = log_v.exp().clamp_min(torch.finfo(log_v.dtype).tiny ** 0.75)
    return radial.log_prob(v) - (n - 1) * log_v


def entropy_in_shape(radial: Distribution, n: int) -> Tensor:
    """E [(n - 1) log v - log ψ(v)], the entropy of Eq. 7 but for log S_f(1).

    Raises:
        ValueError: If the quadrature of ψ is not 1, as for distributions with an edge.
    """
    log_v, log_density, weights = radial_nodes(radial)
    return (weights * ((n - 1) * log_v - log_density)).sum(0)


def radial_nodes(radial: Distribution, count: int = _NODES) -> tuple[Tensor, Tensor, Tensor]:
    """Log v, log ψ(v) and weights, each (nodes, *batch), of a quadrature under the distribution ψ.

    The trapezoidal rule in τ, where log v = centre + width · sinh τ. It gives about nine digits, or
    the precision of float32, for a smooth density with finite mean and variance.

    Raises:
        ValueError: If the weights do not sum to 1, as for distributions with an edge.
    """
    dtype = radial.mean.dtype
    width = log_width(radial)
    centre = radial.mean.detach().double().log() - width**2 / 2
    tau = torch.linspace(-_WIDEST, _WIDEST, count, dtype=torch.float64, device=centre.device)
    tau = tau[(..., *[None] * centre.dim())]
    log_v = (centre + width * tau.sinh()).clamp(*_log_limits(dtype))
    slopes = width * tau.cosh() * (2 * _WIDEST / (count - 1))
    v = log_v.exp().to(dtype)
    # Outside the support, and where the density over- or underflows, nothing is counted, and no
    # gradient passes; the total mass shows whether something is missing.
    with torch.no_grad():
        v = torch.where(radial.support.check(v), v, radial.mean)  # pyrefly: ignore
        counted = radial.log_prob(v).isfinite() & (v == log_v.exp().to(dtype))
        v = torch.where(counted, v, radial.mean)
    log_density = radial.log_prob(v).double()
    weights = torch.where(counted, (log_density + log_v).exp() * slopes, 0.0)
    _check_mass(weights.detach().sum(0), radial)
    return log_v, log_density, weights


def _check_mass(mass: Tensor, radial: Distribution) -> None:
    right = torch._is_all_true((mass - 1).abs() < _MASS_TOLERANCE)
    if torch.compiler.is_compiling():  # a compiled graph cannot read numbers, only assert them
        torch._assert_async(right, f"{_SMOOTH}: average over samples.")
    elif not right:
        raise ValueError(
            f"{_SMOOTH}, which gives {radial} the mass {mass.tolist()} instead of 1: average over "
            "samples."
        )


def log_width(radial: Distribution) -> Tensor:
    """The standard deviation of log v under the log-normal of the mean and variance of ψ."""
    return torch.log1p(radial.variance / radial.mean**2).detach().double().sqrt()


def _log_limits(dtype: torch.dtype) -> tuple[float, float]:
    limits = torch.finfo(dtype)
    return math.log(limits.tiny) / 1.01, math.log(limits.max) / 1.01
