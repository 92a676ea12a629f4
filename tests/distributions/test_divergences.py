"""Closed-form divergences against torch's own, quadrature and samples."""

import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Gamma, Independent, Normal, kl_divergence

from isavae.distributions import GeneralizedNormal, LpNested
from tests.instances import DISTRIBUTIONS

DOUBLE = torch.tensor(1.0, dtype=torch.float64)


@pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_the_divergence_from_itself_is_zero(make):
    distribution = make(torch.float64)
    found = kl_divergence(distribution, make(torch.float64))
    assert found.shape in ((), distribution.batch_shape)
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-12)


@pytest.mark.parametrize("tree", ["2.1[2.2*4, 2.2*4]", "2[z, 1*2]", "0.8*3"])
def test_scales_of_one_tree(tree):
    """Against samples, and against KL of the Gamma distributions of f^p0."""
    p, q = (LpNested(tree, s * DOUBLE) for s in (0.7, 2.0))
    found = kl_divergence(p, q)
    shape = p.tree.n / p.exponents[0].double()
    exact = kl_divergence(Gamma(shape, 1 / (0.7 * DOUBLE)), Gamma(shape, 1 / (2.0 * DOUBLE)))
    torch.testing.assert_close(found, exact)
    torch.manual_seed(0)
    z = p.sample((50_000,))
    difference = p.log_prob(z) - q.log_prob(z)
    assert (difference.mean() - found).abs() < 5 * difference.std() / 50_000**0.5


def test_other_radii_of_one_tree():
    radii = Gamma(3 * DOUBLE, DOUBLE), Gamma(4 * DOUBLE, 2 * DOUBLE)
    p, q = (LpNested("2.1[z, 3*2]", radial=radius) for radius in radii)
    torch.testing.assert_close(kl_divergence(p, q), kl_divergence(*radii))
    with pytest.raises(NotImplementedError, match="one kind of radius"):
        kl_divergence(p, LpNested("2.1[z, 3*2]", DOUBLE))
    with pytest.raises(NotImplementedError, match="one tree"):
        kl_divergence(LpNested("2[2*2, z]"), LpNested("2[z, 2*2]"))
    with pytest.raises(NotImplementedError, match="one tree"):
        kl_divergence(LpNested("2*2"), LpNested("3*2"))


def test_normals_and_a_tree_of_exponents_two():
    mean, std = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    posterior = Independent(Normal(mean, std.exp()), 1)
    found = kl_divergence(posterior, LpNested("2[2*2, 2*2]", 3.0 * DOUBLE))
    isotropic = Independent(Normal(torch.zeros(4).double(), (1.5 * DOUBLE).sqrt()), 1)
    torch.testing.assert_close(found, kl_divergence(posterior, isotropic))
    for tree in ("2.1[2*2, 2*2]", "2[2*2, 2.2*2]"):
        with pytest.raises(NotImplementedError, match="exponents are 2"):
            kl_divergence(posterior, LpNested(tree))
    learned = torch.full((3,), 2.0, requires_grad=True)
    with pytest.raises(NotImplementedError, match="stay so"):
        kl_divergence(posterior, LpNested("2[2*2, 2*2]", exponents=learned))


def test_normals_and_trees_over_other_latents_are_refused():
    for posterior in (
        Independent(Normal(torch.zeros(5, 3), 1.0), 1),
        Independent(Normal(torch.zeros(5, 2), 1.0), 2),
    ):
        with pytest.raises(
            ValueError, match=r"same latents, not of event shapes \(.*\) and \(2,\)"
        ):
            kl_divergence(posterior, LpNested("2*2"))


def test_a_batch_of_single_normals_is_not_one_distribution():
    normals = Normal(torch.zeros(5, 4), 1.0)
    with pytest.raises(NotImplementedError, match=r"not .* of shape \(5, 4\): wrap them in Indep"):
        kl_divergence(normals, LpNested("2[2*2, 2*2]"))
    assert kl_divergence(Independent(normals, 1), LpNested("2[2*2, 2*2]")).shape == (5,)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ((0.0, 1.0, 1.3), (0.0, 0.7, 4.0)),
        ((0.5, 1.0, 6.0), (0.5, 2.0, 0.8)),
        ((1.0, 0.5, 1.0), (-0.5, 1.5, 2.0)),
    ],
)
def test_generalised_normals_by_quadrature(p, q):
    (loc, scale, power), (loc_q, scale_q, power_q) = p, q
    ours = stats.gennorm(power, loc, scale)
    other = stats.gennorm(power_q, loc_q, scale_q)
    expected, _ = integrate.quad(
        lambda z: ours.pdf(z) * (ours.logpdf(z) - other.logpdf(z)),
        loc - 40 * scale, loc + 40 * scale, points=[loc, loc_q], limit=400,
    )  # fmt: skip
    found = kl_divergence(*(GeneralizedNormal(*(x * DOUBLE for x in each)) for each in (p, q)))
    assert float(found) == pytest.approx(expected, rel=1e-7)


def test_generalised_normals_of_two_locations_have_no_closed_form():
    with pytest.raises(NotImplementedError, match="one location"):
        kl_divergence(GeneralizedNormal(0.0, 1.0, 3.0), GeneralizedNormal(1.0, 1.0, 3.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    def pairs(dtype):
        one, three, power = torch.tensor([1.0, 3.0, 1.5], dtype=dtype)
        normals = Independent(Normal(one.expand(2), three.expand(2)), 1)
        return (
            (GeneralizedNormal(one, one, power), GeneralizedNormal(one, three, three)),
            (LpNested("2*2", one), LpNested("2*2", three)),
            (normals, LpNested("2*2", three)),
        )

    for half, double in zip(pairs(dtype), pairs(torch.float64), strict=True):
        found = kl_divergence(*half)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), kl_divergence(*double), rtol=1e-5, atol=1e-6)
