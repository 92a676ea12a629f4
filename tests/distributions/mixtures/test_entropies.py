"""Aggregate posteriors against quadrature and sums over all pairs."""

import math

import numpy as np
import pytest
import torch

from isavae.distributions import (
    UnresolvedMixtureError,
    conditional_entropies,
    least_stds,
    marginal_entropies,
)
from isavae.distributions.mixtures.entropies import _BUDGET
from tests.largest_tensor import LargestTensor


def quadrature_entropy(mean: torch.Tensor, log_std: torch.Tensor) -> float:
    """Composite Gauss-Legendre on the union of every component's own fine grid."""
    mean, std = mean.double().numpy(), log_std.double().exp().numpy()
    edges = np.unique((mean[:, None] + std[:, None] * np.linspace(-10, 10, 121)).ravel())
    nodes, weights = np.polynomial.legendre.leggauss(3)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    entropy = 0.0
    for m, h in zip(np.array_split(middle, 64), np.array_split(half, 64), strict=True):
        x = (m[:, None] + h[:, None] * nodes).ravel()
        components = np.exp(-0.5 * ((x[:, None] - mean) / std) ** 2) / (
            std * math.sqrt(2 * math.pi)
        )
        p = components.mean(1)
        entropy -= ((h[:, None] * weights).ravel() * p * np.log(np.where(p > 0, p, 1))).sum()
    return entropy


def uniform(n: int, low: float, high: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, generator=generator, dtype=torch.float64) * (high - low) + low


MIXTURES = {
    "stds from 1e-3 to 1": (uniform(150, -2, 2, 0), uniform(150, math.log(1e-3), 0, 1)),
    "pruned": (uniform(200, -1e-3, 1e-3, 0), uniform(200, -0.01, 0.01, 1)),
    "single": (torch.tensor([0.3]), torch.tensor([-2.0])),
    "two far apart": (torch.tensor([-1e6, 1e6]), torch.tensor([-7.0, 0.5])),
    "collapsed": (torch.full((40,), 0.31), uniform(40, -2.03, -1.97, 1)),
    "between the nodes": (uniform(7, 0, 1, 0), torch.tensor([-3.0, *[-3 + 0.058 + 0.116] * 6])),
    "clusters": (torch.arange(5.0).repeat(30), uniform(150, -4, -3, 1)),
    "narrow on wide": (torch.tensor([0.0, 0.0, 0.5]), torch.tensor([0.0, -9.0, -4.0])),
} | {f"few {i}": (uniform(3, -1, 1, i), uniform(3, -7, 0, 50 + i)) for i in range(12)}


@pytest.mark.parametrize("name", MIXTURES)
def test_entropies_agree_with_quadrature(name):
    mean, log_std = MIXTURES[name]
    entropy = marginal_entropies(mean[:, None], log_std[:, None])
    assert entropy.item() == pytest.approx(quadrature_entropy(mean, log_std), abs=1e-4)


def test_conditional_mixtures_are_the_rows_with_each_label():
    mean, log_std = uniform(120, -2, 2, 0).view(60, 2), uniform(120, -3, 0, 1).view(60, 2)
    labels = torch.arange(60) % 4 - 1
    (entropies,) = conditional_entropies(mean, log_std, [(labels, 4)])
    for label in range(3):
        rows = labels == label
        torch.testing.assert_close(
            entropies[label], marginal_entropies(mean[rows], log_std[rows]), atol=1e-4, rtol=0
        )
    assert entropies[3].isnan().all()


def test_many_labels_are_taken_a_few_at_a_time():
    # 2,000 labels on a fine grid exceed the largest histogram; each label has one component.
    mean, log_std = uniform(2000, -1, 1, 0)[:, None], uniform(2000, -5, -4, 1)[:, None]
    with LargestTensor() as largest:
        labels = torch.arange(2000).flip(0)
        (entropies,) = conditional_entropies(mean, log_std, [(labels, 2000)])
    assert largest.numbers <= _BUDGET
    exact = log_std.flip(0) + 0.5 * math.log(2 * math.pi * math.e)
    torch.testing.assert_close(entropies, exact, atol=1e-4, rtol=0)


def test_entropies_ignore_shifts_and_follow_scales():
    mean, log_std = uniform(90, -2, 2, 0).view(30, 3), uniform(90, -3, 0, 1).view(30, 3)
    shifted = marginal_entropies(mean * 100 + 7, log_std + math.log(100))
    torch.testing.assert_close(
        shifted, marginal_entropies(mean, log_std) + math.log(100), atol=1e-6, rtol=0
    )


def test_partitions_share_their_components():
    mean, log_std = uniform(90, -2, 2, 0).view(30, 3), uniform(90, -3, 0, 1).view(30, 3)
    partitions = [(torch.arange(30) % 3, 3), (torch.arange(30) // 10, 3)]
    for (labels, n), entropies in zip(
        partitions, conditional_entropies(mean, log_std, partitions), strict=True
    ):
        (alone,) = conditional_entropies(mean, log_std, [(labels, n)])
        torch.testing.assert_close(entropies, alone, atol=1e-12, rtol=1e-12)


def test_entropies_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="finite"):
        marginal_entropies(torch.tensor([[math.nan]]), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="at least one"):
        marginal_entropies(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match="narrowest std"):
        marginal_entropies(torch.zeros(2, 1), torch.tensor([[0.0], [-20.0]]))


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e9])
@pytest.mark.parametrize("log_std", [-30.0, -40.0, -200.0, -800.0])
def test_stds_below_the_rounding_of_their_means_are_right_or_widened(shift, log_std):
    """Posteriors that do not overlap have the information log n about their image."""
    mean = torch.rand(50, 1, generator=torch.Generator().manual_seed(0)).double() + shift
    stds = torch.full_like(mean, log_std)
    least = least_stds(mean, stds)
    if float(least) == 0:
        assert math.exp(log_std) > 1e-17 * (1 + shift)
    else:
        with pytest.raises(UnresolvedMixtureError):
            marginal_entropies(mean, stds)
    stds = torch.maximum(stds, least.log())
    information = (
        marginal_entropies(mean, stds) - stds.mean() - 0.5 * math.log(2 * math.pi * math.e)
    )
    distinct = len(mean.unique())
    assert float(information) == pytest.approx(math.log(50), abs=0.1 if distinct == 50 else 4)
