"""Exact marginal densities of leaves, by inverting a Mellin transform."""

import itertools
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

_TERMS = 1 << 23  # of Fourier sums at a time, 16 bytes each
_DIGITS = 75.0  # e^-75 is the square of float64's rounding: what lies beyond is negligible
_ORDER = 0.05  # of the moments that tell a leaf's typical size: small, as a variance may overflow
_NEAREST = 1e-6  # in typical sizes: nearer, a pole is cut off


def leaf_density(
    distribution: LpNested, leaf: int, x: Float[Tensor, " points"]
) -> Float[Tensor, "... points"]:
    """The density of z_j at the points x, for any tree and every distribution of a batch.

    |z_j| is the product of the radius and the shares on the path to the leaf. All are independent,
    with known moments of every complex order: ratios of Gamma functions for the shares and for the
    radius of Eq. 11, quadrature for another radial distribution. The density is the inverse Mellin
    transform of E |z_j|^m along a line Re m = c,

        p(y) = y^(-1-c) / 4π ∫ E |z_j|^(c+it) y^(-it) dt,

    whose integrand decays exponentially, so that a trapezoidal sum is exact but for the rounding of
    terms of the size y^(-1-c). Near 0, c is left of the pole at m = -1, whose residue p(0) is
    added; elsewhere c = 0. That gives about nine digits, or six for a radial distribution in
    float32. A pole at 0, which another radial distribution may have, is cut off within a millionth
    of a typical size.

    Args:
        distribution: The distribution; its batch axes precede the points.
        leaf: Index of the leaf, from 0.
        x: Points at which to evaluate the density.

    Raises:
        ValueError: If there is no such leaf, if the points are not a vector, if the leaf's typical
            size is beyond float64, or if quadrature fails for a `radial` with an edge or without a
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

    def log_shares(m: Tensor) -> Tensor:
        """Log of E of the shares' product to complex orders m: (orders, distributions)."""
        logs = torch.zeros_like(m).unsqueeze(-1)
        for node, n_node, n_child in path:
            p = exponents[:, node]
            logs = logs + _gamma_ratio(n_child, p, m) - _gamma_ratio(n_node, p, m)
        return logs

    unit, width = _typical_sizes(distribution, leaf, radius, log_shares)

    def moments(m: Tensor) -> Tensor:
        """E |z_j / unit|^m for complex orders m: (orders, distributions)."""
        return (log_shares(m) - m.unsqueeze(-1) * unit.log()).exp() * radius.moments(m)

    y = (_plain(x).abs() / unit.unsqueeze(-1)).clamp_max(torch.finfo(torch.float64).max)
    lines = [_Line.at(0.0, moments, radius.reach, _DIGITS / min(radius.tail, 1.0) + 15 * width)]
    gap = min(_cusp(exponents, path), radius.tail - 1, 1.0)
    if gap > 0.1 or distribution.radial is None:
        near = _Line.at(-1 - gap / 2, moments, radius.reach, 2 * _DIGITS / gap + 15 * width)
        lines.append(near)
    else:
        y = y.clamp_min(_NEAREST)
    densities = torch.empty_like(y)
    best = torch.stack([line.error(y) for line in lines]).argmin(0)
    for k, number in itertools.product(range(len(y)), range(len(lines))):
        points = best[k] == number
        densities[k, points] = lines[number].density(y[k, points], k)
    densities = densities.clamp_min(0) / unit.unsqueeze(-1)
    return densities.reshape(*distribution.batch_shape, -1)


def _check_leaf(distribution: LpNested, leaf: int, x: Tensor) -> None:
    if not 0 <= leaf < distribution.tree.n:
        raise ValueError(
            f"The leaf must be below {distribution.tree.n}, not {leaf}: count the leaves from 0."
        )
    if x.dim() != 1:
        raise ValueError(
            f"The points must be a vector, not of shape {tuple(x.shape)}: flatten them."
        )


def _typical_sizes(
    distribution: LpNested, leaf: int, radius: "_Radius", log_shares: Callable[[Tensor], Tensor]
) -> tuple[Float[Tensor, " distributions"], float]:
    """(E |z_j|^h)^(1/h) of a small h, and the largest standard deviation of log |z_j|, roughly.

    Raises:
        ValueError: If a size is beyond float64.
    """
    orders = torch.tensor([_ORDER, 2 * _ORDER], dtype=torch.float64) + 0j
    first, second = (log_shares(orders).exp() * radius.moments(orders)).real.log()
    unit = (first / _ORDER).exp()
    if not bool(((unit > 0) & (unit < math.inf)).all()):
        raise ValueError(
            f"The typical size of leaf {leaf} of {distribution} must be within the range of "
            "float64: raise the exponents."
        )
    return unit, float((second - 2 * first).clamp_min(0).sqrt().max()) / _ORDER


def _cusp(exponents: Tensor, path: list[tuple[int, int, int]]) -> float:
    """The least exponent of the node with several leaves that is nearest to a leaf.

    Near 0 a leaf's density is a series in |z_j| to this power.
    """
    several = [node for node, n_node, _ in path if n_node > 1]
    return float(exponents[:, several[-1] if several else 0].min())


@final
@dataclass(frozen=True)
class _Line:
    """Densities by a trapezoidal sum along Re m = c, for every distribution of a batch.

    The integrand's coefficients are those of a density of log y that repeats itself; its `period`
    covers what is not negligible. A line left of -1 has the residue there, the density at 0.
    """

    c: float
    t: Float[Tensor, " orders"]
    weights: Tensor
    residue: Float[Tensor, " distributions"]

    @classmethod
    def at(
        cls, c: float, moments: Callable[[Tensor], Tensor], reach: float, period: float
    ) -> "_Line":
        step = 2 * math.pi / period
        t = torch.arange(0, reach, step, dtype=torch.float64)
        weights = moments(c + 1j * t) * step / (2 * math.pi)
        weights[0] /= 2
        if c > -1:
            return cls(c, t, weights, weights.real[0] * 0)
        # A power of two, so that -1 ± h is exact.
        h = 2.0 ** (math.floor(math.log2(-1 - c)) - 20)
        right, left = moments(torch.tensor([-1 + h, -1 - h], dtype=torch.float64) + 0j).real
        return cls(c, t, weights, h * (right - left) / 4)

    def density(self, y: Float[Tensor, " points"], k: int) -> Float[Tensor, " points"]:
        """The density of one distribution."""
        logs, weights = y.clamp_min(torch.finfo(y.dtype).tiny).log(), self.weights[:, k]
        sums = [
            (torch.exp(-1j * self.t * some.unsqueeze(-1)) * weights).real.sum(-1)
            for some in logs.split(max(_TERMS // len(self.t), 1))
        ]
        return torch.cat(sums) * (-(1 + self.c) * logs).exp() + self.residue[k]

    def error(self, y: Float[Tensor, "distributions points"]) -> Tensor:
        """A bound of the rounding of `density`, in units of float64's."""
        of_sum = self.weights.abs().sum(0).unsqueeze(-1) * y ** -(1 + self.c)
        return of_sum + self.residue.abs().unsqueeze(-1)


@final
@dataclass(frozen=True)
class _Radius:
    """E v^m of every distribution of a batch, and what its Fourier inversion needs.

    `moments` maps orders m to (orders, batch). E v^(it) is negligible from t = `reach` on. Near 0
    every density falls as v^(tail - 1) or faster.
    """

    moments: Callable[[Tensor], Tensor]
    reach: float
    tail: float


def _radius_of_eq_11(distribution: LpNested, p0: Tensor) -> _Radius:
    log_s = _plain(distribution.scale).log().expand(distribution.batch_shape).flatten()

    def moments(m: Tensor) -> Tensor:
        return (m.unsqueeze(-1) / p0 * log_s + _gamma_ratio(distribution.tree.n, p0, m)).exp()

    # E v^(it) falls like exp(-π t / (2 p0)).
    return _Radius(moments, max(30 * float(p0.max()), 60.0), math.inf)


def _radius_of(distribution: LpNested) -> _Radius:
    radial = distribution.radial.expand(distribution.batch_shape)  # pyrefly: ignore
    log_v, _, weights = (
        x.detach().cpu().reshape(len(x), -1) for x in radial_nodes(radial, count=8001)
    )

    def moments(m: Tensor) -> Tensor:
        # The logarithms are added first: a power that overflows may have no weight.
        logs = weights.log()
        waves = (torch.polar((z.real * log_v + logs).exp(), z.imag * log_v) for z in m)
        return torch.stack([wave.sum(0) for wave in waves])

    dtype = radial.mean.dtype
    ends = torch.tensor([0.9, 0.5], dtype=dtype, device=radial.mean.device)
    low, high = torch.finfo(dtype).tiny ** ends
    slope = radial.log_prob(high) - radial.log_prob(low)
    # A density that is 0 there, as a log-normal's, rises faster than any power; that of torch's
    # inverse Gamma overflows.
    tail = torch.where(slope.isfinite(), 1 + slope / (high / low).log(), math.inf)
    negligible = 1e-13 if dtype == torch.float64 else 1e-6
    reach, size = 8 / float(log_width(radial).min()), 1.0
    while size > negligible:
        last, size = size, float(moments(torch.tensor([1j * reach])).abs().max())
        if size > last / 2:  # what is left is the quadrature's error
            break
        reach *= 2
    return _Radius(moments, reach, float(tail.min()))


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
    """logΓ right of -10, up to whole turns of 2πi: Stirling's series after ten recursions."""
    shift = sum(torch.log(w + k) for k in range(10))
    w = w + 10
    series = 1 / (12 * w) - 1 / (360 * w**3) + 1 / (1260 * w**5) - 1 / (1680 * w**7)
    return (w - 0.5) * torch.log(w) - w + 0.5 * math.log(2 * math.pi) + series - shift
