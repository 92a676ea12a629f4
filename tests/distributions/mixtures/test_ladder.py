"""Sums of normals on a ladder of grids against their formula, and the transpose of their map."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal

from isavae.distributions.mixtures.grids import ORDER, STEPS
from isavae.distributions.mixtures.ladder import GridWeights, Ladder, SumsOfNormals

DOUBLE = torch.float64


def columns(sums: int, n: int, lowest: float, highest: float) -> list[torch.Tensor]:
    """Points, means and stds, whose logarithms are weights_on_grid evenly."""
    generator = torch.Generator().manual_seed(sums)
    x, mean = torch.randn(2, sums, n, generator=generator, dtype=DOUBLE)
    log_std = torch.rand(sums, n, generator=generator, dtype=DOUBLE)
    return [x, mean, lowest * (highest / lowest) ** log_std]


def test_a_single_normal_is_right_in_its_tails_wherever_it_lies():
    """One normal a sum: 48 stds within an octave, 21 means within a point, the worst included."""
    std = 0.37 * torch.exp2(torch.linspace(0, 1, 48, dtype=DOUBLE)).repeat_interleave(21)[:, None]
    mean = torch.linspace(-0.2, 0.2, 21, dtype=DOUBLE).repeat(48)[:, None] * std
    x = mean + torch.linspace(-4.4, 4.4, 45, dtype=DOUBLE) * std
    found = SumsOfNormals.apply(x, mean, std, Ladder.covering(x, mean, std))
    ratio = found / Normal(mean, std).log_prob(x).exp()
    assert (ratio - 1).abs().max() < 1e-3


@pytest.mark.parametrize(("lowest", "highest"), [(1.0, 1.0), (0.9, 1.1), (1e-3, 2.0)])
def test_sums_of_normals_are_their_formula(lowest, highest):
    leaves = [leaf.requires_grad_() for leaf in columns(3, 40, lowest, highest)]
    x, mean, std = leaves
    found = SumsOfNormals.apply(x, mean, std, Ladder.covering(x, mean, std))
    exact = Normal(mean[:, None], std[:, None]).log_prob(x[..., None]).exp().sum(-1)
    scale = exact.detach().amax(1, keepdim=True)
    assert ((found - exact).abs() < 1e-5 * scale).all()
    gradients = torch.autograd.grad(found.sum(), leaves)
    expected = torch.autograd.grad(exact.sum(), leaves)
    for gradient, right in zip(gradients, expected, strict=True):
        assert (gradient - right).norm() < 1e-3 * right.norm()


def test_what_the_grids_hold_of_a_normal_is_what_it_adds_to_the_sum():
    x, mean, std = columns(2, 9, 0.05, 0.4)
    ladder = Ladder.covering(x, mean, std)
    whole = SumsOfNormals.apply(x, mean, std, ladder)
    without = SumsOfNormals.apply(x, mean[:, 1:], std[:, 1:], ladder)
    first = torch.zeros(9, dtype=torch.int64)
    held = GridWeights.from_normals(ladder, mean, std).at(x - mean[:, first], first)
    torch.testing.assert_close(whole - without, held, atol=1e-4 * whole.max().item(), rtol=0)


def test_the_map_of_coefficients_has_the_transpose_that_it_claims():
    x, mean, std = columns(4, 30, 0.01, 1.0)
    ladder = Ladder.covering(x, mean, std)
    cell = GridWeights.from_normals(ladder, mean, std).cell.flatten()
    point = ladder.grids.points_at(ladder.position(x, ladder.finest)[0]).flatten()
    generator = torch.Generator().manual_seed(0)
    # Orders fall off, as the coefficients of small offsets do.
    falling = 0.1 ** torch.arange(max(ORDER, STEPS) + 1, dtype=DOUBLE)[:, None]
    a = torch.randn(ORDER + 1, len(cell), generator=generator, dtype=DOUBLE) * falling[: ORDER + 1]
    b = torch.randn(STEPS + 1, len(point), generator=generator, dtype=DOUBLE) * falling[: STEPS + 1]
    there = (ladder.grids.terms(a, cell, point) * b).sum()
    back = (ladder.grids.terms_transposed(b, cell, point) * a).sum()
    assert there.item() == pytest.approx(back.item(), rel=1e-12)


def test_grids_are_as_fine_as_each_octave_needs():
    x = torch.zeros(1, 2, dtype=DOUBLE)
    std = torch.tensor([[1.0, 8.0]], dtype=DOUBLE)
    ladder = Ladder.covering(x, x, std)
    sizes = ladder.grids.sizes[0]
    assert len(sizes) == 4
    assert all(fine == 2 * coarse for fine, coarse in pairwise(sizes))
    assert sizes[-1] * 8 / 2.5 >= 7 * 8.0  # a tail of the widest fits into the period
    assert sizes[-1] == 24  # 56 / 3.2 points, in the next of 2^k and 3/4 of it
