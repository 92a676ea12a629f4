"""Every distribution of `instances.py` under the transforms of `torch.func`, with validation."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.distributions import Distribution
from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

from isavae.distributions import LpNested
from tests.instances import DISTRIBUTIONS

# Of torch, when it first differentiates forward.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


@pytest.fixture(params=DISTRIBUTIONS)
def distribution(request) -> Distribution:
    torch.manual_seed(11)
    return DISTRIBUTIONS[request.param](torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_transforms_of_densities(distribution):
    """Against reverse-mode differentiation of reverse-mode differentiation."""

    def total(z):
        return distribution.log_prob(z).sum()

    z, direction = distribution.sample(), distribution.sample()
    slope = torch.autograd.functional.jacobian(total, z)
    curvature = torch.autograd.functional.hessian(total, z)
    for transform in (grad, jacrev, jacfwd):
        close(transform(total)(z), slope)
    for second in (
        hessian(total),
        jacfwd(jacfwd(total)),
        jacrev(jacfwd(total)),
        jacrev(grad(total)),
    ):
        close(second(z), curvature)
    along = (slope * direction).sum()
    close(jvp(total, (z,), (direction,))[1], along)
    close(vjp(total, z)[1](torch.ones((), dtype=z.dtype))[0], slope)
    with forward_ad.dual_level():
        dual = total(forward_ad.make_dual(z, direction))
        close(forward_ad.unpack_dual(dual).tangent, along)


def test_dual_numbers_of_values_and_exponents_together():
    """Forward differentiation without a transform."""
    torch.manual_seed(11)
    z, exponents = torch.randn(4).double(), torch.tensor([2.1, 1.5, 3.0]).double()
    along_z, along_p = torch.randn(4).double(), torch.randn(3).double()

    def total(z, exponents):
        return LpNested("2.1[1.5*2, 3*2]", exponents=exponents).log_prob(z)

    slopes = torch.autograd.functional.jacobian(total, (z, exponents))
    with forward_ad.dual_level():
        duals = forward_ad.make_dual(z, along_z), forward_ad.make_dual(exponents, along_p)
        tangent = forward_ad.unpack_dual(total(*duals)).tangent
    close(tangent, slopes[0] @ along_z + slopes[1] @ along_p)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # torch's
@pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_linearised_densities_without_validation(make, monkeypatch):
    """`linearize` traces: with validation it fails for torch's own distributions too."""
    torch.manual_seed(11)
    monkeypatch.setattr(Distribution, "_validate_args", False)
    distribution = make(torch.float64)
    z, direction = distribution.sample(), distribution.sample()
    value, derivative = linearize(lambda z: distribution.log_prob(z).sum(), z)
    close(value, distribution.log_prob(z).sum())
    slope = torch.autograd.functional.jacobian(lambda z: distribution.log_prob(z).sum(), z)
    close(derivative(direction), (slope * direction).sum())


def test_vmap_of_densities_and_of_their_curvature(distribution):
    z = distribution.sample((3,))
    close(vmap(distribution.log_prob)(z), distribution.log_prob(z))
    curvatures = vmap(hessian(lambda z: distribution.log_prob(z).sum()))(z)
    one = torch.autograd.functional.hessian(lambda z: distribution.log_prob(z).sum(), z[1])
    close(curvatures[1], one)
    with pytest.raises(ValueError, match="support"):
        distribution.log_prob(torch.full_like(z, torch.nan))
