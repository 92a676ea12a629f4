"""Sums of normals of many widths at arbitrary points, in linear time, with gradients.

The engine of `minibatch.log_marginals` in training. `spectra` is its counterpart for scores, which
need densities on a grid only, of many classes and without gradients.

A normal N(μ, σ²) lies between two nodes of a ladder of stds. As a function of the variance v it is
replaced by the quintic that agrees with it at both nodes to the second derivative, and as a
function of μ by its Taylor series around the nearest point b of the node's grid. Since ∂/∂v = ½ ∂²,

    φ(x; μ, σ) ≈ Σ_nodes Σ_j c_j (-D)^j φ(x; b, σ_k),    c_j = Σ_m A_m(v) δ^(j-2m) / (j-2m)!,

with D the derivative in stds of the node and δ = (μ - b)/σ_k. All normals of a cell (b, σ_k) share
one sum of coefficients, and node and derivatives are factors of a spectrum. Nodes and points per
std do not depend on the data, so that the factors of a grid depend on its size only and are cached.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isavae.distributions.mixtures.grids import NODES, ORDER, POINTS, STEPS, Grids

# Beyond this many stds a normal is below 1e-11 of its maximum.
_TAIL = 7.0
# Of the variances of two neighbouring nodes.
_RATIO = 2 ** (2 / NODES)


@final
@dataclass(frozen=True)
class Ladder:
    """The grids of several sums of normals, one per octave of stds, and their origins.

    Attributes:
        low: Start of each sum's period.
        finest: Octave of each sum's narrowest std.
        grids: The sums' grids.
    """

    low: Float[Tensor, "sums 1"]
    finest: Int[Tensor, "sums 1"]
    grids: Grids

    @classmethod
    @torch.no_grad()
    def covering(
        cls,
        x: Float[Tensor, "sums points"],
        mean: Float[Tensor, "sums n"],
        std: Float[Tensor, "sums n"],
    ) -> "Ladder":
        """The smallest grids for normals and for the points at which to evaluate their sums."""
        low = torch.minimum(x.amin(1), mean.amin(1))
        narrowest, widest = std.aminmax(dim=1)
        finest = _octave(_lower_node(narrowest))
        coarsest = _octave(_lower_node(widest) + 1)
        # A period has room for the tails beyond samples and means, since grids are periodic.
        length = torch.maximum(x.amax(1), mean.amax(1)) - low + _TAIL * widest
        points = (length / _spacing(coarsest)).tolist()
        octaves = (coarsest - finest + 1).tolist()
        grids = Grids(tuple(map(_sizes, points, octaves)))
        return cls(low[:, None], finest[:, None], grids)

    def part(self, sums: list[int]) -> "Ladder":
        """The grids of some of the sums."""
        sizes = tuple(self.grids.sizes[k] for k in sums)
        return Ladder(self.low[sums], self.finest[sums], Grids(sizes))

    def position(self, x: Tensor, octave: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest point of an octave's grid, and how far x is beyond it, in points."""
        position = (x - self.low) / _spacing(octave)
        point = position.detach().round()
        return point.long(), position - point


def _sizes(points: float, octaves: int) -> tuple[int, ...]:
    """Points of an octave's grids, finest first, the coarsest having at least `points`."""
    power = 1 << max(3, math.ceil(math.log2(points)))
    size = power * 3 // 4 if points <= power * 3 // 4 else power
    return tuple(size << octave for octave in reversed(range(octaves)))


def _lower_node(std: Tensor) -> Tensor:
    return (torch.log2(std) * NODES).floor().long()


def _octave(node: Tensor) -> Tensor:
    return torch.div(node, NODES, rounding_mode="floor")


def _std(node: Tensor) -> Tensor:
    return torch.exp2(node.double() / NODES)


def _spacing(octave: Tensor) -> Tensor:
    return torch.exp2(octave.double()) / POINTS


@final
@dataclass(frozen=True)
class GridWeights:
    """Normals as weights on two nodes of a ladder each.

    Attributes:
        cell: Cell of a normal's coefficients.
        node: Stds of the nodes.
        offset: δ, how far the mean is beyond its point, in stds of the node.
        fraction: Position of the variance between the node, 0, and the other one, 1.
    """

    cell: Int[Tensor, "two *n"]
    node: Float[Tensor, "two *n"]
    offset: Float[Tensor, "two *n"]
    fraction: Float[Tensor, "two *n"]

    @classmethod
    def from_normals(
        cls, ladder: Ladder, mean: Float[Tensor, "sums n"], std: Float[Tensor, "sums n"]
    ) -> "GridWeights":
        """Place normals on their nodes."""
        lower = _lower_node(std.detach())
        nodes = torch.stack([lower, lower + 1])
        octave = _octave(nodes)
        point, beyond = ladder.position(mean, octave)
        cell = ladder.grids.cells_at(octave - ladder.finest, nodes - NODES * octave, point)
        node = _std(nodes)
        fraction = ((std / node[0]).square() - 1) / (_RATIO - 1)
        offset = beyond * (_spacing(octave) / node)
        return cls(cell, node, offset, torch.stack([fraction, 1 - fraction]))

    @property
    def variance_step(self) -> Float[Tensor, "two *ones"]:
        """The other node's variance minus the node's, in units of the latter."""
        change = torch.tensor([_RATIO - 1, 1 / _RATIO - 1], dtype=torch.float64)
        return change.view(2, *[1] * (self.node.ndim - 1))

    def coefficients(self) -> Float[Tensor, "orders two *n"]:
        """c_j of both nodes."""
        t, cubic = self.fraction, (1 - self.fraction) ** 3
        weights = [
            cubic * (1 + t * (3 + 6 * t)),
            cubic * (t * (1 + 3 * t)) * (self.variance_step / 2),
            cubic * t.square() * (self.variance_step.square() / 8),
        ]
        powers = [torch.ones_like(self.offset), self.offset]
        for j in range(2, ORDER + 1):
            powers.append(powers[-1] * (self.offset / j))
        return torch.stack(
            [
                sum((weights[m] * powers[j - 2 * m] for m in range(1, min(3, j // 2 + 1))), first)
                for j, first in enumerate(weights[0] * power for power in powers)
            ]
        )

    def variance_gradient(
        self, gradients: Float[Tensor, "orders two *n"]
    ) -> Float[Tensor, "two *n"]:
        """Σ_j ∂c_j/∂v of gradients by c_j, at both nodes."""
        t, square = self.fraction, (1 - self.fraction) ** 2
        slopes = [
            -30 * (t * (1 - t)) ** 2,
            square * (1 + t * (2 - 15 * t)) * (self.variance_step / 2),
            square * (t * (2 - 5 * t)) * (self.variance_step.square() / 8),
        ]
        total = torch.zeros_like(t)
        for m, slope in enumerate(slopes):
            series = gradients[ORDER]
            for j in range(ORDER - 1, 2 * m - 1, -1):
                series = torch.addcmul(gradients[j], series, self.offset / (j + 1 - 2 * m))
            total.addcmul_(slope, series)
        return total / (self.variance_step * self.node.square())

    def at(
        self, deviation: Float[Tensor, "*points"], index: Int[Tensor, " points"]
    ) -> Float[Tensor, "*points"]:
        """The grids' approximation of single normals, at deviations from their means."""
        node, offset = self.node[..., index], self.offset[..., index]
        y = deviation / node + offset
        c = GridWeights(self.cell, node, offset, self.fraction[..., index]).coefficients()
        hermite, following = torch.ones_like(y), y
        series = c[0]
        for j in range(1, ORDER + 1):
            hermite, following = following, y * following - j * hermite
            series = series + c[j] * hermite
        return (series * torch.exp(-y.square() / 2) / (math.sqrt(2 * math.pi) * node)).sum(0)


@final
class SumsOfNormals(torch.autograd.Function):
    """The densities Σ_m N(x_i; μ_m, σ_m²) of several sums at their points, in float64.

    Everything between coefficients and Taylor terms is linear, so that backward is its transpose.
    """

    @staticmethod
    def forward(ctx, x: Tensor, mean: Tensor, std: Tensor, ladder: Ladder) -> Tensor:
        weights_on_grid = GridWeights.from_normals(ladder, mean, std)
        coefficients = weights_on_grid.coefficients()
        point, step = ladder.position(x, ladder.finest)
        point = ladder.grids.points_at(point)
        terms = ladder.grids.terms(
            coefficients.flatten(1), weights_on_grid.cell.flatten(), point.flatten()
        )
        value, slope = torch.zeros_like(x), torch.zeros_like(x)
        for term in terms.unflatten(1, x.shape).flip(0):
            slope.mul_(step).add_(value)
            value.mul_(step).add_(term)
        spacing = _spacing(ladder.finest)
        period = spacing * ladder.grids.finest_sizes
        ctx.save_for_backward(std, coefficients, point, step, slope / (period * spacing), period)
        ctx.ladder, ctx.weights_on_grid = ladder, weights_on_grid
        return value / period

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        std, coefficients, point, step, slope, period = ctx.saved_tensors
        weights_on_grid, grids, (grad,) = ctx.weights_on_grid, ctx.ladder.grids, grads
        powers = [grad / period]
        for _ in range(STEPS):
            powers.append(powers[-1] * step)
        to_coefficients = grids.terms_transposed(
            torch.stack(powers).flatten(1), weights_on_grid.cell.flatten(), point.flatten()
        ).unflatten(1, weights_on_grid.cell.shape)
        # δ^j / j! has the derivative δ^(j-1) / (j-1)!.
        to_mean = (coefficients[:-1] * to_coefficients[1:]).sum(0) / weights_on_grid.node
        to_variance = weights_on_grid.variance_gradient(to_coefficients)
        # The places of both nodes change in opposite directions, as do the changes of variance.
        return grad * slope, to_mean.sum(0), 2 * std * to_variance.sum(0), None
