"""Mixtures over all pairs against fifty digits, at every ratio of means to standard deviations."""

import math

import mpmath
import pytest
import torch

from isavae.distributions import QuadraticNormals, log_mixture
from isavae.distributions.mixtures import pairs


def in_fifty_digits(z, mean, std):
    """log 1/N Σ_n N(z; mean_n, std_n) of each sample."""
    with mpmath.workdps(50):
        z, mean, std = (mpmath.matrix(x.tolist()) for x in (z, mean, std))

        def log_density(i, n):
            terms = (((z[i, j] - mean[n, j]) / std[n, j]) ** 2 for j in range(z.cols))
            scale = mpmath.fprod(std[n, j] for j in range(z.cols))
            scale *= mpmath.sqrt(2 * mpmath.pi) ** z.cols
            return -mpmath.fsum(terms) / 2 - mpmath.log(scale)

        sums = [
            mpmath.fsum(mpmath.exp(log_density(i, n)) for n in range(mean.rows)) / mean.rows
            for i in range(z.rows)
        ]
        return torch.tensor([float(mpmath.log(total)) for total in sums], dtype=torch.float64)


def mixture(offset, spread, width, n=7):
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(3, n, 2, generator=generator, dtype=torch.float64)
    mean, std = offset + spread * normal[0], width * (0.3 * normal[1]).exp()
    return mean + std * normal[2], mean, std


@pytest.mark.parametrize(
    ("offset", "spread", "width"),
    [
        (0.0, 1.0, 1.0),
        (1e3, 1e-5, 1e-5),  # far from 0 and close together: the centre
        (1.0, 1e-9, 1e-9),
        (0.0, 1.0, 1e-3),
        (0.0, 1.0, 1e-9),  # far apart: squares of differences
        (5.0, 1.0, 1e-12),
    ],
)
def test_log_mixture_is_right_to_the_precision_of_its_samples(offset, spread, width, monkeypatch):
    monkeypatch.setattr(pairs, "_SAMPLES_AT_ONCE", 3)
    monkeypatch.setattr(pairs, "_COMPONENTS_AT_ONCE", 2)
    z, mean, std = mixture(offset, spread, width)
    reference = torch.distributions.Normal(mean, std).log_prob(z).sum(1)
    found = log_mixture(z, QuadraticNormals.from_normals(mean, std), reference)
    # A rounding of z or of its mean, in stds, is all that may be lost.
    rounding = 4e-16 * (abs(offset) + spread) / width
    torch.testing.assert_close(
        found, in_fifty_digits(z, mean, std), rtol=0, atol=1e-6 + 30 * rounding
    )


def test_some_components_of_a_mixture_keep_its_centre():
    z, mean, std = mixture(3.0, 1.0, 0.5)
    reference = torch.zeros(len(z), dtype=torch.float64)
    rows = torch.tensor([4, 1])
    of_some = log_mixture(z, QuadraticNormals.from_normals(mean, std)[rows], reference)
    alone = log_mixture(z, QuadraticNormals.from_normals(mean[rows], std[rows]), reference)
    torch.testing.assert_close(of_some, alone, rtol=1e-12, atol=0)


def test_separate_components_far_from_zero_are_told_apart():
    """The log-density of each sample is that of its own component, minus log n."""
    z, mean, std = mixture(1e4, 1.0, 1e-8, n=64)
    own = torch.distributions.Normal(mean, std).log_prob(z).sum(1)
    excess = own - log_mixture(z, QuadraticNormals.from_normals(mean, std), own)
    assert excess.mean() == pytest.approx(math.log(64), abs=1e-3)


@pytest.mark.parametrize(
    ("offset", "spread", "width", "cancels"),
    [(0.0, 1.0, 1e-3, False), (1e8, 1.0, 0.1, False), (0.0, 1.0, 1e-7, True)],
)
def test_only_a_wide_spread_takes_the_slower_way(offset, spread, width, cancels):
    _, mean, std = mixture(offset, spread, width)
    assert QuadraticNormals.from_normals(mean, std).cancel() == cancels
