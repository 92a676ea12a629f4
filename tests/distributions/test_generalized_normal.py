"""The generalised normal distribution against scipy, and how its location enters."""

import math

import mpmath
import pytest
import torch
from scipy import stats
from torch.func import grad, hessian, jvp, vmap

from isavae.distributions import GeneralizedNormal

DOUBLE = torch.tensor(1.0, dtype=torch.float64)
PARAMETERS = [(0.3, 1.0), (1.0, 0.2), (2.0, 3.0), (7.5, 1.0), (100.0, 2.0)]


@pytest.mark.parametrize("loc", [0.0, -1.25, 40.0])
@pytest.mark.parametrize(("p", "scale"), PARAMETERS)
def test_it_is_scipys(loc, p, scale):
    ours = GeneralizedNormal(loc, scale, p * DOUBLE)
    reference = stats.gennorm(p, loc, scale)
    z = loc + torch.linspace(-4, 4, 41, dtype=torch.float64) * scale
    assert torch.allclose(
        ours.log_prob(z), torch.from_numpy(reference.logpdf(z.numpy())), rtol=1e-9
    )
    assert torch.allclose(ours.cdf(z), torch.from_numpy(reference.cdf(z.numpy())), rtol=1e-9)
    shares = torch.tensor([1e-9, 0.01, 0.3, 0.5, 0.7, 1 - 1e-9], dtype=torch.float64)
    quantiles = torch.from_numpy(reference.ppf(shares.numpy()))
    assert torch.allclose(ours.icdf(shares), quantiles, rtol=1e-7, atol=0)
    assert float(ours.mean) == float(ours.mode) == reference.mean() == loc
    assert float(ours.entropy()) == pytest.approx(reference.entropy(), rel=1e-9)
    assert float(ours.variance) == pytest.approx(reference.var(), rel=1e-9)
    assert float(GeneralizedNormal.from_kappa(ours.kappa).p) == pytest.approx(p)


@pytest.mark.parametrize(("p", "scale"), PARAMETERS)
def test_samples_are_scipys(p, scale):
    torch.manual_seed(0)
    z = GeneralizedNormal(3.0, scale, p * DOUBLE).rsample((10_000,))
    assert stats.kstest(z.numpy(), stats.gennorm(p, 3.0, scale).cdf).pvalue > 1e-5


def test_defaults_are_those_of_a_normal_with_the_scale_of_scipy():
    ours = GeneralizedNormal()
    assert [float(x) for x in (ours.loc, ours.scale, ours.p)] == [0.0, 1.0, 2.0]
    assert float(ours.variance) == pytest.approx(0.5)


def test_the_location_broadcasts_expands_and_passes_gradients():
    loc = torch.tensor([-2.0, 5.0], requires_grad=True)
    wide = GeneralizedNormal.from_kappa(1.0, loc).expand((3, 2))
    z = wide.rsample((4,))
    assert z.shape == (4, 3, 2)
    assert torch.equal(wide.mean, loc.expand(3, 2))
    z.sum().backward()
    assert torch.equal(loc.grad, torch.tensor([12.0, 12.0]))
    laplace = torch.distributions.Laplace(loc, 1.0)
    z = z.detach()
    assert torch.allclose(wide.log_prob(z), laplace.log_prob(z), atol=1e-5)
    (of_ours,) = torch.autograd.grad(wide.log_prob(z).sum(), loc)
    (of_torch,) = torch.autograd.grad(laplace.log_prob(z).sum(), loc)
    assert torch.allclose(of_ours, of_torch, atol=1e-4)


def derivative(function, x, step=1e-4):
    """By central differences of fourth order: for scipy, which is accurate to 1e-13 or so."""
    near, far = (function(x + k * step) - function(x - k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("share", [1e-9, 0.03, 0.5, 0.8, 1 - 1e-9])
@pytest.mark.parametrize(("p", "scale"), [(0.3, 1.0), (1.5, 1.3), (7.5, 0.4), (30.0, 1.0)])
def test_gradients_of_quantiles_and_probabilities_are_those_of_scipy(p, scale, share):
    loc = 0.7
    leaves = [(x * DOUBLE).requires_grad_() for x in (loc, scale, p, share)]
    *parameters, u = leaves
    z = GeneralizedNormal(*parameters).icdf(u)
    found = torch.autograd.grad(z, leaves)
    # Upper quantiles by symmetry: scipy loses their digits.
    sign, low = (1, share) if share <= 0.5 else (-1, 1 - share)
    expected = (
        1.0,
        sign * stats.gennorm.ppf(low, p),
        sign * scale * derivative(lambda q: stats.gennorm.ppf(low, q), p, 1e-3 * p),
        scale / stats.gennorm.pdf(stats.gennorm.ppf(low, p), p),
    )
    assert [float(x) for x in found] == pytest.approx(expected, rel=1e-5, abs=1e-9)
    at = float(z.detach())
    z = (at * DOUBLE).requires_grad_()
    leaves = [*parameters, z]
    found = torch.autograd.grad(GeneralizedNormal(*parameters).cdf(z), leaves)
    density = float(stats.gennorm.pdf(at, p, loc, scale))
    expected = (
        -density,
        -density * (at - loc) / scale,
        derivative(lambda q: stats.gennorm.cdf(at, q, loc, scale), p, 1e-3 * p),
        density,
    )
    assert [float(x) for x in found] == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_the_gradient_that_was_once_wrong():
    p, u = (1.5 * DOUBLE).requires_grad_(), (0.8 * DOUBLE).requires_grad_()
    found = torch.autograd.grad(GeneralizedNormal(0.0, 1.3, p).icdf(u), (p, u))
    assert [float(x) for x in found] == pytest.approx([-0.297, 4.03], abs=5e-3)


@pytest.mark.parametrize(
    ("p", "x"), [(100, 3e-4), (300, 0.05), (1e3, 0.4), (1e3, 0.96), (1e6, 0.5)]
)
def test_powers_that_underflow_leave_the_middle_of_flat_densities_alone(p, x):
    """There scipy gives 1/2 for all x below 0.08 at p = 300, and for all below 0.999 at p = 1e6."""
    with mpmath.workdps(30):
        below = mpmath.gammainc(1 / mpmath.mpf(p), 0, mpmath.mpf(x) ** p, regularized=True)
        expected = float((1 + below) / 2)
    ours = GeneralizedNormal(p=p * DOUBLE)
    assert float(ours.cdf(x * DOUBLE)) == pytest.approx(expected, rel=1e-14)
    assert float(ours.icdf((1 - expected) * DOUBLE)) == pytest.approx(-x, rel=1e-11)


def test_infinite_quantiles_do_not_depend_on_the_exponent():
    p, ends = (1.5 * DOUBLE).requires_grad_(), torch.tensor([0.0, 1.0]).double()
    (found,) = torch.autograd.grad(GeneralizedNormal(p=p).icdf(ends).sum(), p)
    assert float(found) == 0


def test_quantiles_outside_the_unit_interval_are_nan():
    shares = torch.tensor([-0.1, 1.5, torch.nan, 0.0, 1.0])
    assert str(GeneralizedNormal(p=3.0).icdf(shares).tolist()) == "[nan, nan, nan, -inf, inf]"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_quantiles_and_probabilities_are_inverse_and_transform():
    ours = GeneralizedNormal(0.2, 1.3, torch.tensor([0.5, 1.0, 2.0, 9.0], dtype=torch.float64))
    z = ours.sample((50,))
    torch.testing.assert_close(ours.icdf(ours.cdf(z)), z, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(vmap(ours.cdf)(z), ours.cdf(z))

    def quantile(p):
        return GeneralizedNormal(0.0, 1.0, p).icdf(0.9 * DOUBLE)

    curvature = derivative(
        lambda p: derivative(lambda q: stats.gennorm.ppf(0.9, q), p, 1e-2), 2, 1e-2
    )
    for second in (hessian(quantile), grad(grad(quantile))):
        assert float(second(2 * DOUBLE)) == pytest.approx(curvature, rel=1e-4)
    _, slope = jvp(quantile, (2 * DOUBLE,), (DOUBLE,))
    assert float(slope) == pytest.approx(derivative(lambda q: stats.gennorm.ppf(0.9, q), 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    ours = GeneralizedNormal(*(torch.tensor(x, dtype=dtype) for x in (0.0, 1.0, 1.0)))
    torch.manual_seed(0)
    z = ours.rsample((10_000,))
    assert z.dtype == ours.icdf(torch.rand(3)).dtype == ours.entropy().dtype == torch.float32
    assert stats.kstest(z.numpy(), stats.laplace().cdf).pvalue > 1e-5
    assert float(ours.entropy()) == pytest.approx(1 + math.log(2), abs=1e-5)
    assert float(ours.variance) == pytest.approx(2, abs=1e-4)
