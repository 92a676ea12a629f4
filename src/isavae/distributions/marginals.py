"""Exact marginal densities of leaves, by inverting a Mellin transform."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.distributions.lp_nested import LpNested
from isavae.distributions.radial import log_width, radial_nodes
from isavae.distributions.tree import LEAF, LpTree

_CHUNK = 256  # points at a time: bounds the memory of the Fourier sum
_STEP = 0.08  # log|z| / unit lives on (-40, 20) to 16 digits, and 2π / 0.08 = 78 covers that
_NEAREST = 1e-6  # below, in units, 1/y amplifies the rounding of the sum: a series at 0 is better


def leaf_density(
    distribution: LpNested, leaf: int, x: Float[Tensor, " points"]
) -> Float[Tensor, "... points"]:
    """The density of z_j at the points x, for any tree and every distribution of a batch.

    |z_j| is the product of the radius and the shares on the path to the leaf. All are independent,
    with known moments of every complex order: ratios of Gamma functions for the shares and for the
    radius of Eq. 11, quadrature for another radial distribution. The density of log|z_j| is the
    Fourier transform of E |z_j|^(it), which decays exponentially, so that a trapezoidal sum is
    exact: to about eight digits, or six for a radial distribution in float32, and to five or more
    within a millionth of a typical size of 0. A pole at 0, which another radial distribution may
    have, is cut off there.

    Args:
        distribution: The distribution; its batch axes precede the points.
        leaf: Index of the leaf, from 0.
        x: Points at which to evaluate the density.

    Raises:
        ValueError: If there is no such leaf, if the points are not a vector, if the leaf's variance
            is beyond float64, or if quadrature fails for a `radial` with an edge or without a
            variance.

    Examples:
        >>> normals = LpNested("2[2*2, 2*3]", torch.tensor([2.0, 1.0]))
        >>> leaf_density(normals, 0, torch.tensor([0.0, 1.0]))
        tensor([[0.3989, 0.2420],
                [0.5642, 0.2076]], dtype=torch.float64)
    """
    _check_leaf(distribution, leaf, x)
    exponents = _plain(distribution.exponents)
    exponents = exponents.expand(*distribution.batch_shape, -1).reshape(-1, exponents.shape[-1])
    radius = (
        _radius_of_eq_11(distribution, exponents[:, 0])
        if distribution.radial is None
        else _radius_of(distribution)
    )
    path = _path(distribution.tree, leaf)

    def moments(m: Tensor) -> Tensor:
        """E |z_j|^m for complex orders m: (orders, distributions)."""
        logs = torch.zeros_like(m).unsqueeze(-1)
        for node, n_node, n_child in path:
            p = exponents[:, node]
            logs = logs + _gamma_ratio(n_child, p, m) - _gamma_ratio(n_node, p, m)
        return logs.exp() * radius.moments(m)

    t = torch.arange(0, radius.reach, radius.step, dtype=torch.float64)
    weights = moments(1j * t) * radius.step / math.pi
    weights[0] /= 2
    at_zero = 0.5e-9 * moments(torch.tensor([-1 + 1e-9], dtype=t.dtype) + 0j)[0].real
    units = _variances(distribution, leaf, moments).sqrt() * radius.typical
    points = _plain(x).abs().clamp_max(torch.finfo(t.dtype).max)
    densities = []
    for k, unit in enumerate(units):
        density = _fourier_sum(t, weights[:, k], points.clamp_min(_NEAREST * unit))
        if radius.tail[k] > 1:
            p = exponents[k, path[-1][0]]
            nodes = _NEAREST * unit * torch.arange(1.0, 4.0, dtype=t.dtype) ** (1 / p)
            known = torch.cat([at_zero[k, None], _fourier_sum(t, weights[:, k], nodes)])
            near = _cubic((points / nodes[0]) ** p, known)
            density = torch.where(points < _NEAREST * unit, near, density)
        densities.append(density)
    return torch.stack(densities).reshape(*distribution.batch_shape, -1)


def _check_leaf(distribution: LpNested, leaf: int, x: Tensor) -> None:
    if not 0 <= leaf < distribution.tree.n:
        raise ValueError(
            f"The leaf must be below {distribution.tree.n}, not {leaf}: count the leaves from 0."
        )
    if x.dim() != 1:
        raise ValueError(
            f"The points must be a vector, not of shape {tuple(x.shape)}: flatten them."
        )


def _variances(
    distribution: LpNested, leaf: int, moments: Callable[[Tensor], Tensor]
) -> Float[Tensor, " distributions"]:
    """The variance of a leaf in every distribution of a batch.

    Raises:
        ValueError: If one is beyond float64.
    """
    found = (
        moments(torch.tensor([2.0 + 0j], dtype=torch.complex128))[0].real
        if distribution.radial is None
        else _plain(distribution.variance[..., leaf]).flatten()
    )
    if not bool((found < math.inf).all()):
        raise ValueError(
            f"The variance of leaf {leaf} of {distribution} must be within the range of float64: "
            "raise the exponents."
        )
    return found


def _fourier_sum(t: Tensor, weights: Tensor, y: Tensor) -> Tensor:
    """Half the density of |z_j| at y, from the Fourier coefficients of that of log|z_j|."""
    sums = [
        (torch.exp(-1j * t * part.log().unsqueeze(-1)) * weights).real.sum(-1)
        for part in y.split(_CHUNK)
    ]
    return (torch.cat(sums) / (2 * y)).clamp_min(0)


def _cubic(x: Tensor, values: Tensor) -> Tensor:
    """The cubic with the given values at 0, 1, 2 and 3.

    Near 0 a leaf's density is a series in powers of |z_j|^p, p the exponent of the leaf's parent.
    """
    a, b, c = 1 - x, 2 - x, 3 - x
    basis = (a * b * c / 6, x * b * c / 2, -x * a * c / 2, x * a * b / 6)
    return sum(weight * value for weight, value in zip(basis, values, strict=True))  # pyrefly: ignore


@final
@dataclass(frozen=True)
class _Radius:
    """E v^m of every distribution of a batch, and what its Fourier inversion needs.

    `moments` maps orders m to (orders, batch). E v^(it) is negligible from t = `reach` on, and a
    grid of `step` covers all of log v. The density near 0 is v^(tail - 1), and a typical v is
    `typical` standard deviations, which may be far below 1 for a log-normal.
    """

    moments: Callable[[Tensor], Tensor]
    reach: float
    step: float
    tail: Tensor
    typical: Tensor


def _radius_of_eq_11(distribution: LpNested, p0: Tensor) -> _Radius:
    log_s = _plain(distribution.scale).log().expand(distribution.batch_shape).flatten()

    def moments(m: Tensor) -> Tensor:
        return (m.unsqueeze(-1) / p0 * log_s + _gamma_ratio(distribution.tree.n, p0, m)).exp()

    # E v^(it) falls like exp(-π t / (2 p0)).
    tail = torch.full_like(p0, math.inf)
    return _Radius(moments, max(30 * float(p0.max()), 60.0), _STEP, tail, torch.ones_like(p0))


def _radius_of(distribution: LpNested) -> _Radius:
    radial = distribution.radial.expand(distribution.batch_shape)  # pyrefly: ignore
    log_v, _, weights = (
        x.detach().cpu().reshape(len(x), -1) for x in radial_nodes(radial, count=8001)
    )

    def moments(m: Tensor) -> Tensor:
        waves = (torch.exp(order * log_v) * weights for order in m)
        return torch.stack([wave.sum(0) for wave in waves])

    dtype = radial.mean.dtype
    ends = torch.tensor([0.9, 0.5], dtype=dtype, device=radial.mean.device)
    low, high = torch.finfo(dtype).tiny ** ends
    slope = radial.log_prob(high) - radial.log_prob(low)
    # A density that is 0 there, as a log-normal's, rises faster than any power; that of torch's
    # inverse Gamma overflows.
    tail = torch.where(slope.isfinite(), 1 + slope / (high / low).log(), math.inf)
    tail = _plain(tail).flatten()
    width = log_width(radial).cpu().flatten()
    negligible = 1e-13 if dtype == torch.float64 else 1e-6
    reach, size = 8 / float(width.min()), 1.0
    while size > negligible:
        last, size = size, float(moments(torch.tensor([1j * reach])).abs().max())
        if size > last / 2:  # what is left is the quadrature's error
            break
        reach *= 2
    step = _STEP * min(float(tail.min()), 1.0) / (1 + float(width.max()) / 5)
    return _Radius(moments, reach, step, tail, (-(width**2)).exp())


def _plain(x: Tensor) -> Tensor:
    """The values without gradients, in float64 on the CPU."""
    return x.detach().to("cpu", torch.float64)


def _gamma_ratio(n: int, p: Tensor, m: Tensor) -> Tensor:
    return _log_gamma((n + m.unsqueeze(-1)) / p) - torch.lgamma(n / p)


def _path(tree: LpTree, leaf: int) -> list[tuple[int, int, int]]:
    """(which inner node, leaves below, leaves below the next) from the root down to the leaf."""
    path, node = [], 0
    while tree.arities[node] != LEAF:
        for child in tree.children[node]:
            if leaf < tree.leaf_counts[child]:
                break
            leaf -= tree.leaf_counts[child]
        path.append((tree.inner.index(node), tree.leaf_counts[node], tree.leaf_counts[child]))
        node = child
    return path


def _log_gamma(w: Tensor) -> Tensor:
    """logΓ of complex numbers with positive real part: Stirling's series after ten recursions."""
    shift = sum(torch.log(w + k) for k in range(10))
    w = w + 10
    series = 1 / (12 * w) - 1 / (360 * w**3) + 1 / (1260 * w**5) - 1 / (1680 * w**7)
    return (w - 0.5) * torch.log(w) - w + 0.5 * math.log(2 * math.pi) + series - shift
