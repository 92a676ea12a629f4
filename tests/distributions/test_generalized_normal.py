"""The generalised normal distribution against scipy, and how its location enters."""

import pytest
import torch
from scipy import stats

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
