"""Convolutions on periodic grids of many sizes, and their transposes, for `ladder`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

# Nodes per octave of stds, derivatives per node, and grid points per std of an octave's narrowest
# node: a density is within 6e-4 of its value up to 4.4 stds from its mean, and the spectrum has
# fallen to 4e-14 at the Nyquist frequency.
NODES, ORDER, POINTS = 4, 7, 2.5
# Order of the Taylor series from a point of the finest grid to the point of evaluation.
STEPS = 6


@final
@dataclass(frozen=True)
class _Block:
    """Grids of one size, whose cells or points follow each other."""

    size: int
    sums: tuple[int, ...]
    octaves: tuple[int, ...]
    part: slice


@final
@dataclass(frozen=True)
class Grids:
    """For each of several sums, one grid per octave of stds; a sum's grids have the same period.

    A cell is one point of one node's grid; sums are computed at the points of the finest grids.

    Args:
        sizes: Points of each sum's grids, finest first.

    Examples:
        >>> grids = Grids(((32, 16), (16,)))
        >>> [block.size for block in grids.blocks], grids.finest_sizes.flatten()
        ([32, 16], tensor([32, 16]))
    """

    sizes: tuple[tuple[int, ...], ...]

    @cached_property
    def blocks(self) -> list[_Block]:
        """All grids, by size."""
        places = [(n, o) for n, sizes in enumerate(self.sizes) for o in range(len(sizes))]
        return self._blocks(places, NODES)

    @cached_property
    def finest(self) -> list[_Block]:
        """The finest grids, by size."""
        return self._blocks([(n, 0) for n in range(len(self.sizes))], 1)

    def _blocks(self, places: Iterable[tuple[int, int]], copies: int) -> list[_Block]:
        groups: dict[int, list[tuple[int, int]]] = {}
        for number, octave in places:
            groups.setdefault(self.sizes[number][octave], []).append((number, octave))
        blocks, first = [], 0
        for size, members in groups.items():
            last = first + copies * size * len(members)
            sums, octaves = tuple(n for n, _ in members), tuple(o for _, o in members)
            blocks.append(_Block(size, sums, octaves, slice(first, last)))
            first = last
        return blocks

    @cached_property
    def finest_sizes(self) -> Int[Tensor, "sums 1"]:
        """Points of the finest grids."""
        return torch.tensor([[sizes[0]] for sizes in self.sizes])

    def cells_at(
        self,
        octave: Int[Tensor, "two sums n"],
        node: Int[Tensor, "two sums n"],
        point: Int[Tensor, "two sums n"],
    ) -> Int[Tensor, "two sums n"]:
        """The cells of points of the grids of nodes in octaves, counted from the finest one."""
        starts, sizes = torch.zeros(
            2, len(self.sizes), max(map(len, self.sizes)), dtype=torch.int64
        )
        for block in self.blocks:
            where = torch.tensor(block.sums), torch.tensor(block.octaves)
            step = NODES * block.size
            starts[where] = torch.arange(block.part.start, block.part.stop, step)
            sizes[where] = block.size
        starts, sizes = (
            t.expand(len(octave), *t.shape).gather(-1, octave) for t in (starts, sizes)
        )
        return starts + node * sizes + point % sizes

    def points_at(self, point: Int[Tensor, "sums n"]) -> Int[Tensor, "sums n"]:
        """The places of points of the finest grids."""
        starts = torch.zeros_like(self.finest_sizes)
        for block in self.finest:
            steps = torch.arange(block.part.start, block.part.stop, block.size)
            starts[list(block.sums), 0] = steps
        return starts + point % self.finest_sizes

    def terms(
        self,
        coefficients: Float[Tensor, "orders n"],
        cell: Int[Tensor, " n"],
        point: Int[Tensor, " m"],
    ) -> Float[Tensor, "steps m"]:
        """Taylor terms of the sums at points, from coefficients of derivatives in cells."""
        sources = coefficients.new_zeros(len(coefficients), self.blocks[-1].part.stop)
        sources.scatter_add_(1, cell.expand_as(coefficients), coefficients)
        spectra = self._no_waves()
        for block in self.blocks:
            grids = sources[:, block.part].reshape(-1, len(block.sums), NODES, block.size)
            waves = torch.fft.rfft(grids).mul_(_kernels(block.size)).sum((0, 2))
            # A wide node has no high frequencies: its grid may be the coarser one.
            for number, wave in zip(block.sums, waves, strict=True):
                spectra[number, : len(wave)] += wave
        terms = coefficients.new_empty(STEPS + 1, self.finest[-1].part.stop)
        for block in self.finest:
            waves = spectra[list(block.sums), : block.size // 2 + 1] * _slopes(block.size)
            values = torch.fft.irfft(waves, n=block.size, norm="forward")
            terms[:, block.part] = values.flatten(1)
        return terms.index_select(1, point)

    def terms_transposed(
        self, terms: Float[Tensor, "steps m"], cell: Int[Tensor, " n"], point: Int[Tensor, " m"]
    ) -> Float[Tensor, "orders n"]:
        """The transpose of `terms` as a linear map of the coefficients."""
        sources = terms.new_zeros(len(terms), self.finest[-1].part.stop)
        sources.scatter_add_(1, point.expand_as(terms), terms)
        spectra = self._no_waves()
        for block in self.finest:
            grids = sources[:, block.part].reshape(len(terms), len(block.sums), block.size)
            waves = torch.fft.rfft(grids).mul_(_slopes(block.size).conj()).sum(0)
            spectra[list(block.sums), : block.size // 2 + 1] = waves
        cells = terms.new_empty(ORDER + 1, self.blocks[-1].part.stop)
        for block in self.blocks:
            waves = spectra[list(block.sums), None, : block.size // 2 + 1]
            waves = waves * _kernels(block.size).conj()
            values = torch.fft.irfft(waves, n=block.size, norm="forward")
            cells[:, block.part] = values.flatten(1)
        return cells.index_select(1, cell)

    def _no_waves(self) -> Complex[Tensor, "sums frequencies"]:
        frequencies = max(block.size for block in self.finest) // 2 + 1
        return torch.zeros(len(self.sizes), frequencies, dtype=torch.complex128)


@lru_cache(maxsize=48)
def _kernels(size: int) -> Complex[Tensor, "orders 1 nodes frequencies"]:
    """Spectra (-iωσ)^j exp(-(ωσ)²/2) of the nodes' normals and derivatives."""
    stds = POINTS * torch.exp2(torch.arange(NODES, dtype=torch.float64) / NODES)
    phase = _frequencies(size) * stds[:, None]
    kernels = [torch.exp(-phase.square() / 2).to(torch.complex128)]
    for _ in range(ORDER):
        kernels.append(kernels[-1] * (-1j * phase))
    return torch.stack(kernels)[:, None]


@lru_cache(maxsize=48)
def _slopes(size: int) -> Complex[Tensor, "steps 1 frequencies"]:
    """Spectra (iω)^j / j! of the terms of a Taylor series."""
    slopes = [torch.ones(size // 2 + 1, dtype=torch.complex128)]
    for j in range(1, STEPS + 1):
        slopes.append(slopes[-1] * (1j / j * _frequencies(size)))
    return torch.stack(slopes)[:, None]


def _frequencies(size: int) -> Float[Tensor, " frequencies"]:
    return 2 * math.pi / size * torch.arange(size // 2 + 1, dtype=torch.float64)
