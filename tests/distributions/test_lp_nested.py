"""What is particular to Lp-nested distributions, against closed forms and scipy."""

import math

import pytest
import torch
from scipy import stats
from torch.distributions import (
    Gamma,
    HalfCauchy,
    HalfNormal,
    Independent,
    LogNormal,
    Normal,
    Uniform,
    Weibull,
)

from isavae.distributions import LpNested, LpTree

torch.manual_seed(0)
Z = torch.randn(50, 6, dtype=torch.float64)
DOUBLE = torch.tensor(1.0, dtype=torch.float64)


@pytest.mark.parametrize("tree", ["2*6", "2[2*2, 2[z, 2*3]]", "2[2[2[2*6]]]"])
def test_all_exponents_two_is_the_normal(tree):
    normal = Independent(Normal(torch.zeros(6, dtype=torch.float64), 1.0), 1)
    distribution = LpNested(tree, 2 * DOUBLE)
    assert torch.allclose(distribution.log_prob(Z), normal.log_prob(Z), rtol=1e-12)
    assert torch.allclose(distribution.entropy(), normal.entropy(), rtol=1e-12)
    assert torch.allclose(distribution.variance, normal.variance, rtol=1e-12)


def test_published_scale_is_half_the_variance():
    normal = Independent(Normal(torch.zeros(6, dtype=torch.float64), 0.5**0.5), 1)
    assert torch.allclose(LpNested("2[2*2, 2*4]", DOUBLE).log_prob(Z), normal.log_prob(Z))


@pytest.mark.parametrize("p", [0.5, 1.0, 3.7])
def test_equal_exponents_factorise_into_generalised_normals(p):
    distribution = LpNested(LpTree.isa(p, [(p, 2), (p, 4)]), 1.7 * DOUBLE)
    scipy_density = stats.gennorm(p, scale=1.7 ** (1 / p)).logpdf(Z.numpy()).sum(-1)
    assert torch.allclose(distribution.log_prob(Z), torch.from_numpy(scipy_density), rtol=1e-12)


def test_subspaces_factorise():
    tree = LpTree.parse("2.1[2.2*2, 3[z, 1.4*3]]")
    distribution = LpNested(tree, 0.7 * DOUBLE)
    parts = [LpNested("2.1[2.2*2]", 0.7 * DOUBLE), LpNested("2.1[3[z, 1.4*3]]", 0.7 * DOUBLE)]
    product = sum(
        part.log_prob(Z[:, s]) for part, s in zip(parts, distribution.subspaces, strict=True)
    )
    assert torch.allclose(distribution.log_prob(Z), product, rtol=1e-12)


def test_euclidean_sphere_has_its_known_surface():
    for n in (1, 2, 3, 10):
        surface = math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2)
        assert float(LpNested(f"2*{n}").log_surface()) == pytest.approx(surface, rel=1e-6)
    assert float(LpNested("1*3").log_surface()) == pytest.approx(math.log(4.0))  # 8 · 1 / 2!


def test_norm_of_eq_6():
    z = torch.tensor([-3.0, 2.0, -2.0])
    assert float(LpNested("2[z, 1*2]").norm(z)) == pytest.approx(5.0)
    assert float(LpNested("2[z, 1*2]").norm(torch.zeros(3))) == 0.0


@pytest.mark.parametrize("radial", [Gamma(3 * DOUBLE, DOUBLE), LogNormal(0 * DOUBLE, DOUBLE)])
def test_radius_follows_the_radial_distribution(radial):
    distribution = LpNested("2.1[2.2*4, 3[z, 1.5*2]]", radial=radial)
    v = distribution.norm(distribution.sample((20_000,)))
    reference = {Gamma: stats.gamma(3), LogNormal: stats.lognorm(1)}[type(radial)]
    assert stats.kstest(v.numpy(), reference.cdf).pvalue > 1e-5


EULER = 0.5772156649015329


@pytest.mark.parametrize(
    ("radial", "mean_log"),
    [
        (Gamma(3 * DOUBLE, 2 * DOUBLE), stats.loggamma(3).mean() - math.log(2)),
        (Gamma(0.2 * DOUBLE, DOUBLE), stats.loggamma(0.2).mean()),
        (Gamma(400 * DOUBLE, DOUBLE), stats.loggamma(400).mean()),
        (LogNormal(DOUBLE, 0.01 * DOUBLE), 1.0),
        (LogNormal(DOUBLE, 2 * DOUBLE), 1.0),
        (Weibull(2 * DOUBLE, 1.5 * DOUBLE), math.log(2) - EULER / 1.5),
        (HalfNormal(3 * DOUBLE), math.log(3) - (EULER + math.log(2)) / 2),
    ],
)
def test_entropy_under_another_radial_distribution(radial, mean_log):
    distribution = LpNested("2.1[2.2*4, 3[z, 1.5*2]]", radial=radial)
    known = float(radial.entropy()) + 6 * mean_log + float(distribution.log_surface())
    assert float(distribution.entropy()) == pytest.approx(known, rel=1e-8)


def test_entropy_under_batched_radial_distributions_has_gradients():
    def entropy(concentration):
        return LpNested(
            "2*3", radial=Gamma(concentration, torch.ones_like(concentration))
        ).entropy()

    concentrations = torch.tensor([0.7, 3.0], dtype=torch.float64, requires_grad=True)
    assert entropy(concentrations).shape == (2,)
    assert torch.autograd.gradcheck(entropy, concentrations)
    single = LpNested("2*3", radial=Gamma(torch.tensor([0.7, 3.0]), 1.0)).entropy()
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), entropy(concentrations), atol=1e-5)


def test_radial_distributions_with_an_edge_or_a_pole_get_a_sentence():
    with pytest.raises(ValueError, match="instead of 1: average over samples"):
        LpNested("2*3", radial=Uniform(0.0, 1.0)).entropy()
    with pytest.raises(ValueError, match="finite mean and variance"):
        LpNested("2*3", radial=HalfCauchy(1.0)).entropy()
    with pytest.raises(NotImplementedError, match="compare log_prob along a ray"):
        _ = LpNested("2*3", radial=Gamma(3.0, 1.0)).mode
    assert (LpNested("0.5*3").mode == 0).all()


def test_radius_of_eq_11():
    distribution = LpNested("2.1[2.2*4, 3[z, 1.5*2]]", 0.6 * DOUBLE)
    power = distribution.norm(distribution.sample((20_000,))) ** 2.1 / 0.6
    assert stats.kstest(power.numpy(), stats.gamma(7 / 2.1).cdf).pvalue > 1e-5


def test_standardised_has_unit_mean_variance():
    distribution = LpNested.standardised("2.1[2.2*4, 3[z, 1.5*2]]")
    assert float(distribution.variance.mean()) == pytest.approx(1.0, rel=1e-5)
    assert float(LpNested.standardised("2*5").scale) == pytest.approx(2.0, rel=1e-5)


def test_standardised_goes_by_the_exponents_that_replace_the_trees():
    exponents = torch.tensor([3.0, 0.5, 1.0], dtype=torch.float64)
    distribution = LpNested.standardised("2[2*2, 2*4]", exponents)
    assert distribution.exponents.equal(exponents)
    torch.manual_seed(0)
    second_moments = distribution.sample((200_000,)).square().mean(-1)
    error = float(second_moments.std()) / len(second_moments) ** 0.5
    assert float(second_moments.mean()) == pytest.approx(1, abs=5 * error)


def test_expand_shows_in_the_parameters():
    distribution = LpNested("2[2*2, z]", torch.tensor([1.0, 2.0])).expand((3, 2))
    assert distribution.scale.shape == (3, 2)
    assert distribution.exponents.shape == (3, 2, 2)


def test_log_prob_can_be_walked_back_twice():
    exponents = torch.tensor([2.1, 2.2, 1.9], requires_grad=True)
    distribution = LpNested("2[2*2, 2*4]", exponents=exponents)
    for _ in range(2):
        distribution.log_prob(Z.float()).sum().backward()
    assert exponents.grad.isfinite().all()
    assert (exponents.grad != 0).all()


def test_density_gradients_match_finite_differences():
    exponents = torch.tensor([2.1, 1.2, 3.0, 0.8], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)

    def log_prob(z, exponents, scale):
        return LpNested("2[2*2, 2[z, 2*3]]", scale, exponents).log_prob(z)

    z = Z[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(log_prob, (z, exponents, scale))
    assert torch.autograd.gradgradcheck(log_prob, (z, exponents, scale))


def test_pathwise_gradients_match_derivatives_of_expectations():
    """d/dθ E h(z) by reparametrisation against those of closed-form variances."""
    tree = "2[2*2, 2[z, 2*3]]"
    theta = torch.tensor([1.0, 2.1, 1.2, 3.0, 0.8], dtype=torch.float64, requires_grad=True)

    def variances(theta):
        return LpNested(tree, theta[0], theta[1:]).variance

    exact = torch.autograd.functional.jacobian(variances, theta)
    torch.manual_seed(3)
    draws = 4_000
    per_draw = []
    for _ in range(30):
        z2 = LpNested(tree, theta[0], theta[1:]).rsample((draws,)) ** 2
        per_draw.append(
            torch.stack(
                [
                    torch.autograd.grad(z2[:, j].mean(), theta, retain_graph=True)[0]
                    for j in range(6)
                ]
            )
        )
    estimate = torch.stack(per_draw)
    error = (
        estimate.std(0) / len(per_draw) ** 0.5 + 1e-12
    )  # some leaves see some exponents not at all
    assert ((estimate.mean(0) - exact).abs() < 6 * error).all()


def test_ten_thousand_leaves_and_extreme_exponents():
    for tree in ("0.3*10000", "100*10000", "0.3[100*5000, 0.3*5000]", "100[0.3*5000, 100*5000]"):
        distribution = LpNested(tree)
        z = distribution.rsample((2,))
        assert z.isfinite().all()
        assert distribution.log_prob(z).isfinite().all()


def test_a_power_that_overflows_leaves_no_nan():
    distribution = LpNested("100[3*2, z]", DOUBLE)
    z = torch.tensor([1e30, 1e-30, 0.0], dtype=torch.float64, requires_grad=True)
    log_prob = distribution.log_prob(z)
    log_prob.backward()
    assert float(log_prob.detach()) < -1e300
    assert z.grad.isfinite().all()


def test_large_exponents_sample_no_zeros():
    z = LpNested("100[100*2, 100*2]").sample((10_000,))
    assert (z != 0).float().mean() > 0.999
    # p → ∞ is the uniform distribution on the cube.
    assert stats.kstest(z[:, 0].numpy(), stats.gennorm(100).cdf).pvalue > 1e-5
