"""Sums of many normal densities with stds of their own, on a grid, in linear time.

The engine of `entropies`: one histogram serves the mixtures of many labels, and no gradients are
needed. `ladder` is its counterpart for training, with gradients and values at arbitrary points.

A normal N(μ, σ²) is moved to the nearest point b of a grid and the nearest node σ_k of a geometric
ladder of stds. What the move lost is itself a normal, N(μ - b, σ² - σ_k²), whose excess variance
may be negative; its first moments M_j restore the density as a short series in derivatives,

    φ(x; μ, σ) = Σ_j M_j / j! (-∂)^j φ(x; b, σ_k).

So all normals of one cell (b, σ_k) share one sum of moments, and the node's normal and derivatives
are factors of a spectrum. Wide nodes need few grid points: a node one octave wider has a grid half
as fine, so that all nodes together cost a small multiple of the narrowest one.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

# Nodes per octave of stds and highest moment: entropies are within 1e-4 nats in the worst case,
# 1e-6 as a rule. With so many grid points per std, a normal's spectrum is 3e-9 at the Nyquist
# frequency.
NODES, ORDER, POINTS = 6, 4, 2


class UnresolvedMixtureError(ValueError):
    """The components' widths differ by more than a computation in bounded memory resolves."""


@final
@dataclass(frozen=True)
class SpectralGrid:
    """A periodic grid on [0, 1) and a ladder of stds, for sums of normals.

    Args:
        size: Points of the finest grid, a power of two.
        coarsest: Points of the coarsest grid, a power of two.
        narrowest: Lower end of the ladder, in periods.
        octaves: Length of the ladder in factors of two.

    Examples:
        >>> grid = SpectralGrid.spanning(0.01, 0.05)
        >>> grid.size, grid.octaves
        (256, 3)
    """

    size: int
    coarsest: int
    narrowest: float
    octaves: int

    @classmethod
    def spanning(cls, narrowest: float, widest: float) -> "SpectralGrid":
        """The smallest grid for stds in [narrowest, widest], in periods."""
        size, coarsest = (1 << math.ceil(math.log2(POINTS / std)) for std in (narrowest, widest))
        # The last node takes in stds up to half a step above it.
        octaves = math.floor(math.log2(widest / narrowest) + 0.5 / NODES) + 1
        return cls(size, coarsest, narrowest, octaves)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Grid points per octave of the ladder, finest first."""
        return tuple(max(self.size >> octave, self.coarsest) for octave in range(self.octaves))

    @property
    def cells(self) -> int:
        """Cells of all nodes' grids."""
        return NODES * sum(self.sizes)

    @cached_property
    def stds(self) -> Float[Tensor, " ladder"]:
        """The ladder's nodes, in periods."""
        steps = torch.arange(self.octaves * NODES, dtype=torch.float64)
        return self.narrowest * torch.exp2(steps / NODES)

    def place(
        self, mean: Float[Tensor, "*n"], std: Float[Tensor, "*n"]
    ) -> tuple[Int[Tensor, "*n"], Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """Each normal's cell and its offset and excess variance there, in stds of the node.

        Args:
            mean: Means in periods.
            std: Stds in periods, within the ladder.
        """
        steps = torch.log2(std.detach() / self.narrowest) * NODES
        node = steps.round().long().clamp(0, len(self.stds) - 1)
        sizes = torch.tensor(self.sizes).repeat_interleave(NODES)
        starts = sizes.cumsum(0) - sizes
        points = sizes[node]
        point = torch.round(mean.detach() * points)
        scale = self.stds[node]
        offset = (mean - point / points) / scale
        excess = (std / scale).square() - 1
        return starts[node] + (point.long() & (points - 1)), offset, excess

    def moments(
        self, offset: Float[Tensor, "*n"], excess: Float[Tensor, "*n"]
    ) -> list[Float[Tensor, "*n"]]:
        """The moments 0 to `ORDER` of normals with mean `offset` and variance `excess`."""
        moments = [torch.ones_like(offset), offset]
        for j in range(1, ORDER):
            moments.append(offset * moments[j] + j * excess * moments[j - 1])
        return moments

    def spectrum(
        self, index: Int[Tensor, " n"], moments: list[Float[Tensor, " n"]], sums: int
    ) -> Complex[Tensor, "sums frequencies"]:
        """The Fourier coefficients of several sums of normals.

        Args:
            index: The normals' cells, plus `cells` times the number of each one's sum.
            moments: The normals' moments in their cells.
            sums: The number of sums.
        """
        spectrum = torch.zeros(sums, self.size // 2 + 1, dtype=torch.complex128)
        for j, moment in enumerate(moments):
            histogram = torch.zeros(sums * self.cells, dtype=torch.float64)
            histogram = histogram.scatter_add(0, index, moment).view(sums, self.cells)
            blocks = histogram.split([NODES * size for size in self.sizes], dim=1)
            for block, kernels in zip(blocks, self._kernels, strict=True):
                waves = torch.fft.rfft(block.unflatten(1, (NODES, -1)))
                # A wide node's spectrum has no high frequencies: its grid may be the coarser one.
                spectrum[:, : waves.shape[-1]] += (waves * kernels[j]).sum(1)
        return spectrum

    @cached_property
    def _kernels(self) -> list[Complex[Tensor, "moments nodes frequencies"]]:
        """Spectra (-iωσ_k)^j / j! exp(-(ωσ_k)²/2) of the nodes' normals and derivatives."""
        kernels = []
        for size, stds in zip(self.sizes, self.stds.split(NODES), strict=True):
            phase = 2 * math.pi * torch.arange(size // 2 + 1, dtype=torch.float64) * stds[:, None]
            powers = [torch.exp(-phase.square() / 2).to(torch.complex128)]
            for j in range(1, ORDER + 1):
                powers.append(powers[-1] * (-1j * phase / j))
            kernels.append(torch.stack(powers))
        return kernels

    def density(self, spectrum: Complex[Tensor, "sums frequencies"]) -> Float[Tensor, "sums size"]:
        """The sums' densities per period at the points of the finest grid."""
        return torch.fft.irfft(spectrum, n=self.size, norm="forward")
