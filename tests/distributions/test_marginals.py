"""Marginal densities, rotations and dependence against closed forms, quadrature and samples."""

import math

import jaxtyping
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Gamma, LogNormal, Weibull

from isavae.distributions import (
    GeneralizedNormal,
    LpNested,
    LpTree,
    leaf_density,
    rotation_curve,
    rotational_asymmetry,
    subspace_dependence,
)

DOUBLE = torch.tensor(1.0, dtype=torch.float64)
X = torch.linspace(-3, 3, 25, dtype=torch.float64)


@pytest.mark.parametrize("p", [0.7, 1.0, 2.0, 6.0])
def test_marginals_of_equal_exponents_are_generalised_normal(p):
    distribution = LpNested(LpTree.isa(p, [(p, 2), (p, 3)]), 1.3 * DOUBLE)
    expected = torch.from_numpy(stats.gennorm(p, scale=1.3 ** (1 / p)).pdf(X.numpy()))
    assert torch.allclose(leaf_density(distribution, 3, X), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("leaf", [0, 1])
def test_marginals_match_quadrature_of_the_joint(leaf):
    distribution = LpNested("1.5[z, 3*2]", 0.8 * DOUBLE)
    step = 0.01
    side = torch.arange(step / 2, 7, step, dtype=torch.float64)
    others = torch.cartesian_prod(side, side)
    for x in (0.0, 0.4, 1.7):
        fixed = torch.full((len(others), 1), x, dtype=torch.float64)
        z = torch.cat([others[:, :leaf], fixed, others[:, leaf:]], 1)
        quadrature = 4 * step**2 * float(distribution.log_prob(z).exp().sum())
        ours = float(leaf_density(distribution, leaf, torch.tensor([x], dtype=torch.float64))[0])
        assert ours == pytest.approx(quadrature, rel=1e-3)


def test_deep_and_extreme_marginals_have_their_mass_and_variance():
    for text, leaf in (("2[1.1[z, 3[0.9*1]], z]", 1), ("20[30*3, 0.5*2]", 0)):
        distribution = LpNested(text, DOUBLE)
        x = torch.linspace(-12, 12, 1201, dtype=torch.float64)
        density = leaf_density(distribution, leaf, x)
        assert float(density.sum() * 0.02) == pytest.approx(1, abs=1e-3)
        variance = float((density * x**2).sum() * 0.02)
        assert variance == pytest.approx(float(distribution.variance[leaf]), rel=1e-2)


def test_marginals_under_another_radial_distribution():
    """Eq. 11 of p0 = 1 is v ~ Gamma(n, 1); a log-normal radius of one leaf is that leaf."""
    tree = "1[3*2, 0.7*3]"
    gamma = LpNested(tree, radial=Gamma(5 * DOUBLE, DOUBLE))
    for leaf in (0, 3):
        expected = leaf_density(LpNested(tree, DOUBLE), leaf, X)
        assert torch.allclose(leaf_density(gamma, leaf, X), expected, rtol=1e-7, atol=1e-12)
    spread = LpNested("2*1", radial=LogNormal(0 * DOUBLE, 4 * DOUBLE))
    half = LogNormal(0 * DOUBLE, 4 * DOUBLE).log_prob(X[13:]).exp() / 2
    assert torch.allclose(leaf_density(spread, 0, X[13:]), half, rtol=1e-9)


def test_marginals_of_a_batch_are_those_of_its_distributions():
    scales = torch.tensor([0.5, 1.3], dtype=torch.float64)
    together = leaf_density(LpNested("1.5[z, 3*2]", scales), 1, X)
    for row, scale in zip(together, scales, strict=True):
        assert torch.allclose(row, leaf_density(LpNested("1.5[z, 3*2]", scale), 1, X), rtol=1e-9)

    exponents = torch.tensor([[1.5, 3.0], [1.0, 0.6]], dtype=torch.float64)
    together = leaf_density(LpNested("1.5[z, 3*2]", DOUBLE, exponents), 1, X)
    for row, own in zip(together, exponents, strict=True):
        assert torch.allclose(row, leaf_density(LpNested("1[z, 1*2]", DOUBLE, own), 1, X))


@pytest.mark.parametrize(
    "radial",
    [
        LogNormal(0 * DOUBLE, 0.03 * DOUBLE),
        LogNormal(0 * DOUBLE, 15 * DOUBLE),
        Gamma(0.1 * DOUBLE, DOUBLE),
        Gamma(60 * DOUBLE, DOUBLE),
    ],
    ids=["narrow", "wide", "with a pole", "far from 0"],
)
def test_the_marginal_of_a_single_leaf_is_half_its_radial_distribution(radial):
    torch.manual_seed(0)
    x = radial.sample((10,))
    x = x[x > 1e-4]  # a pole is cut off nearer to 0
    density = leaf_density(LpNested("2*1", radial=radial), 0, x)
    assert torch.allclose(density, radial.log_prob(x).exp() / 2, rtol=1e-6)


def test_a_pole_is_cut_off_near_zero():
    radial = Gamma(0.3 * DOUBLE, DOUBLE)
    x = torch.tensor([0.0, 1e-12, 1e-4], dtype=torch.float64)
    at_zero, near, beyond = leaf_density(LpNested("2*1", radial=radial), 0, x)
    assert at_zero == near
    assert beyond < near < radial.log_prob(x[1]).exp() / 2


def test_marginals_under_another_radial_distribution_follow_samples():
    """Chi-square over twenty cells of equal mass; a false alarm once in 10,000 runs."""
    torch.manual_seed(0)
    distribution = LpNested("2[1*2, 3*3]", radial=Weibull(DOUBLE, 1.7 * DOUBLE))
    z = distribution.sample((20_000,))[:, 3].contiguous()
    x = torch.linspace(-4, 4, 4_001, dtype=torch.float64)
    shares = torch.cumulative_trapezoid(leaf_density(distribution, 3, x), x)
    edges = torch.searchsorted(shares, torch.arange(1, 20).double() / 20)
    counts = torch.bincount(torch.bucketize(z, x[1:][edges]), minlength=20)
    expected = torch.diff(shares[edges], prepend=DOUBLE[None] * 0, append=DOUBLE[None])
    assert stats.chisquare(counts.numpy(), len(z) * expected.numpy()).pvalue > 1e-4


def test_rotations_are_free_for_the_normal_and_within_any_euclidean_subspace():
    torch.manual_seed(0)
    angles = torch.linspace(0, math.pi, 9, dtype=torch.float64)
    assert rotation_curve(LpNested("2[2*2, 2*2]", DOUBLE), (0, 2), angles).abs().max() < 1e-9
    distribution = LpNested("1[2*2, 1*2]", DOUBLE)
    drops = rotational_asymmetry(distribution)
    assert torch.equal(drops, drops.T)
    assert drops[0, 1].abs() < 1e-9
    assert drops[2, 3] > 0.05
    assert drops[0, 2] > 0.05


def test_rotation_of_independent_laplace_latents_has_its_closed_form():
    """E|z_1 + z_2| = 3/2 of two standard Laplace variables: the drop at 45° is 3/√2 - 2."""
    torch.manual_seed(0)
    z = LpNested("1*2", DOUBLE).sample((400_000,))
    drop = rotation_curve(LpNested("1*2", DOUBLE), (0, 1), torch.tensor([math.pi / 4]), z)
    assert float(drop[0]) == pytest.approx(3 / 2**0.5 - 2, abs=0.01)


def test_subspaces_are_independent_under_eq_11_only():
    torch.manual_seed(0)
    tree = "2.1[2.2*2, 3[z, 1.4*2], z]"
    samples = 20_000
    independent = subspace_dependence(LpNested(tree, DOUBLE))
    off_diagonal = independent - torch.eye(3)
    assert off_diagonal.abs().max() < 5 / samples**0.5
    spread = LogNormal(0 * DOUBLE, 1.5 * DOUBLE)
    assert subspace_dependence(LpNested(tree, radial=spread)).min() > 0.3


@pytest.mark.parametrize("p", [0.05, 0.1, 0.2, 0.3, 1.0, 7.0, 100.0])
@pytest.mark.parametrize("tree", ["{p}*2", "{p}[{p}*1, z]", "{p}[9[z], z]"])
def test_leaves_near_zero_have_the_cusp_of_their_nodes_exponent(p, tree):
    """A density of exponent 0.05 rises from a typical size of 1e23 down to 0, by seven orders."""
    distribution = LpNested(tree.format(p=p), DOUBLE)
    shares = torch.tensor([1e-30, 1e-15, 1e-9, 1e-6, 1e-3, 0.1, 0.4], dtype=torch.float64)
    x = torch.cat([torch.zeros(1).double(), GeneralizedNormal(p=p * DOUBLE).icdf(0.5 + shares)])
    x = torch.cat([x, math.gamma(1 + 1 / p) * shares])
    expected = torch.from_numpy(stats.gennorm(p).pdf(x.numpy()))
    torch.testing.assert_close(leaf_density(distribution, 0, x), expected, rtol=1e-8, atol=0)


def test_leaves_under_an_inverse_gamma_radius():
    """Its density near 0 overflows in torch; the leaf's comes from a quadrature over the radius."""
    radius = torch.distributions.InverseGamma(*torch.tensor([3.0, 2.0], dtype=torch.float64))
    found = leaf_density(LpNested("2*3", radial=radius), 0, torch.tensor([0.0, 0.1, 1.0, 4.0]))
    for x, density in zip((0.0, 0.1, 1.0, 4.0), found.tolist(), strict=True):
        # A leaf of a ball in three dimensions is uniform on (-v, v).
        expected, _ = integrate.quad(
            lambda v: stats.invgamma(3, scale=2).pdf(v) / (2 * v), x, math.inf, limit=200
        )
        assert density == pytest.approx(expected, rel=1e-6)


def test_a_density_at_infinity_is_zero():
    x = torch.tensor([-math.inf, 1e300, math.inf, math.nan], dtype=torch.float64)
    found = leaf_density(LpNested("2.1[2.2*2, z]", DOUBLE), 0, x)
    assert (found[:3] < 1e-300).all()
    assert found[3].isnan()


def test_integer_and_half_codes_are_rotated_as_numbers(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    z = torch.randint(-3, 4, (500, 2), generator=torch.Generator().manual_seed(0))
    angles = torch.tensor([0.3])
    right = rotation_curve(LpNested("1*2"), (0, 1), angles, z.float())
    for dtype in (torch.int64, torch.float16):
        torch.testing.assert_close(
            rotation_curve(LpNested("1*2"), (0, 1), angles, z.to(dtype)), right
        )
