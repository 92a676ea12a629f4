"""Laws that every distribution of `instances.py` obeys.

All were seen to fail on a planted bug, but for shapes, pickling and the agreement of precisions.
Statistical laws use fixed seeds and reject at 1e-5: a correct change of the random stream raises a
false alarm about once in a thousand runs of the file.
"""

import math
import pickle
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch.distributions import Distribution

from tests.instances import DISTRIBUTIONS

FALSE_ALARM = 1e-5
Z_LIMIT = stats.norm.isf(FALSE_ALARM / 2)


@pytest.fixture(params=DISTRIBUTIONS)
def make(request):
    torch.manual_seed(7)
    return DISTRIBUTIONS[request.param]


@pytest.fixture
def distribution(make) -> Distribution:
    return make(torch.float64)


def half_line(points: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of double-exponential quadrature on (0, ∞): cusps at 0 cost nothing."""
    t = torch.linspace(-3.2, 2.4, points, dtype=torch.float64)
    nodes = (math.pi / 2 * t.sinh()).exp()
    return nodes, (t[1] - t[0]) * math.pi / 2 * t.cosh() * nodes


def orthant(distribution: Distribution, points: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """Quadrature of the positive orthant: nodes (points^n, n) and weights."""
    x, w = half_line(points)
    n = distribution.event_shape.numel()
    grid = torch.cartesian_prod(*[x] * n).reshape(-1, n)
    weights = torch.cartesian_prod(*[w] * n).reshape(-1, n).prod(-1)
    return grid, weights


def at(distribution: Distribution, z: torch.Tensor) -> torch.Tensor:
    """log_prob at rows (points, n), for distributions with and without an event axis."""
    if distribution.event_shape:
        return distribution.log_prob(
            z.reshape(-1, *[1] * len(distribution.batch_shape), z.shape[-1])
        )
    return distribution.log_prob(z.reshape(-1, *[1] * len(distribution.batch_shape)))


def those(holds: Callable[[Distribution], bool]) -> pytest.MarkDecorator:
    """Run a test with those distributions only for which something holds."""
    names = [name for name, make in DISTRIBUTIONS.items() if holds(make(torch.float64))]
    return pytest.mark.parametrize("make", names, indirect=True)


@those(lambda distribution: distribution.event_shape.numel() <= 3)
def test_density_integrates_to_one(distribution):
    n = distribution.event_shape.numel()
    z, weights = orthant(distribution)
    mass = torch.tensordot(weights, at(distribution, z).exp(), 1) * 2**n
    assert torch.allclose(mass, torch.ones_like(mass), atol=1e-3)


@those(lambda distribution: distribution.event_shape.numel() <= 2 and not distribution.batch_shape)
def test_samples_follow_the_density(distribution):
    """Chi-square of the signs and of |z_1| in cells whose probabilities come from the density."""
    n = distribution.event_shape.numel()
    z = distribution.sample((20_000,)).reshape(-1, n)
    nodes, weights = orthant(distribution, {1: 2000, 2: 300}[n])
    mass = weights * at(distribution, nodes).exp()
    edges = torch.quantile(z[:5_000].abs(), torch.linspace(0.1, 0.9, 9, dtype=z.dtype), dim=0)

    def cells(points):
        return sum(
            torch.bucketize(points[:, j].abs().contiguous(), edges[:, j].contiguous()) * 10**j
            for j in range(n)
        )

    expected = torch.bincount(cells(nodes), mass, minlength=10**n)
    expected = (expected / expected.sum()).repeat(2**n) / 2**n
    signs = sum((z[:, j] > 0) * 2**j for j in range(n))
    observed = torch.bincount(cells(z[5_000:]) + 10**n * signs[5_000:], minlength=len(expected))
    common = expected > 5 / 15_000  # rarer cells are pooled, as the test's approximation asks
    f_obs = [*observed[common].tolist(), observed[~common].sum().item()]
    f_exp = [*expected[common].tolist(), expected[~common].sum().item()]
    if f_exp[-1] == 0:
        f_obs, f_exp = f_obs[:-1], f_exp[:-1]
    f_exp = [e * sum(f_obs) / sum(f_exp) for e in f_exp]
    assert stats.chisquare(f_obs, f_exp).pvalue > FALSE_ALARM


def test_importance_weights_of_samples_average_one(distribution):
    """E_p[q/p] = 1 for a narrower normal q: ties samples to densities in any dimension."""
    z = distribution.sample((50_000,))
    std = (
        0.3 if distribution.event_shape.numel() > 3 else 0.5
    ) ** 0.5 * distribution.variance.sqrt()
    log_q = torch.distributions.Normal(0.0, std).log_prob(z)
    if distribution.event_shape:
        log_q = log_q.sum(-1)
    weights = (log_q - distribution.log_prob(z)).exp()
    z_score = (weights.mean(0) - 1) / (weights.std(0) / len(z) ** 0.5)
    assert (z_score.abs() < Z_LIMIT).all()


def test_moments_match_samples(distribution):
    z = distribution.sample((50_000,))
    error = z.std(0) / len(z) ** 0.5
    assert ((z.mean(0) - distribution.mean).abs() < Z_LIMIT * error).all()
    square_error = (z**2).std(0) / len(z) ** 0.5
    assert (((z**2).mean(0) - distribution.variance).abs() < Z_LIMIT * square_error).all()


def test_entropy_matches_samples(distribution):
    surprise = -distribution.log_prob(distribution.sample((20_000,)))
    z_score = (surprise.mean(0) - distribution.entropy()) / (surprise.std(0) / 20_000**0.5)
    assert (z_score.abs() < Z_LIMIT).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(make, dtype):
    distribution = make(dtype)
    z = distribution.rsample((3, 2))
    assert z.shape == (3, 2, *distribution.batch_shape, *distribution.event_shape)
    assert distribution.log_prob(z).shape == (3, 2, *distribution.batch_shape)
    assert (
        distribution.mean.shape
        == distribution.variance.shape
        == (*distribution.batch_shape, *distribution.event_shape)
    )
    assert {z.dtype, distribution.log_prob(z).dtype, distribution.variance.dtype} == {dtype}
    assert z.isfinite().all()
    assert distribution.log_prob(z).isfinite().all()


def test_precisions_agree(make):
    z = make(torch.float64).sample((100,))
    single = make(torch.float32).log_prob(z.float()).double()
    assert torch.allclose(single, make(torch.float64).log_prob(z), rtol=1e-5, atol=1e-5)


def test_half_precision_is_computed_in_single(make):
    z = make(torch.float32).sample((100,)).bfloat16()
    log_prob = make(torch.float32).log_prob(z)
    assert log_prob.dtype == torch.float32
    assert torch.equal(log_prob, make(torch.float32).log_prob(z.float()))


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_never_nan(make, dtype, size):
    distribution = make(dtype)
    z = (size * distribution.sample((4,)).sign()).requires_grad_()
    log_prob = distribution.log_prob(z)
    assert not log_prob.isnan().any()
    log_prob.sum().backward()
    assert not z.grad.isnan().any()
    if size < 1:
        assert z.grad.isfinite().all()


@those(lambda distribution: distribution.event_shape.numel() >= 2)
def test_one_leaf_at_zero_leaves_the_other_gradients_alone(distribution):
    z = distribution.sample((4,))
    z[..., 0] = 0
    z.requires_grad_()
    distribution.log_prob(z).sum().backward()
    assert z.grad.isfinite().all()
    assert (z.grad[..., 0] == 0).all()
    assert (z.grad[..., 1:] != 0).all()


def test_expand(distribution):
    wide = distribution.expand((4, *distribution.batch_shape))
    assert type(wide) is type(distribution)
    assert wide.batch_shape == (4, *distribution.batch_shape)
    z = distribution.sample((4,))
    torch.testing.assert_close(wide.log_prob(z), distribution.log_prob(z))
    assert wide.rsample((2,)).shape == (2, 4, *distribution.batch_shape, *distribution.event_shape)
    torch.testing.assert_close(wide.variance[1], distribution.variance)


def test_pickles(distribution):
    z = distribution.sample((3,))
    assert torch.equal(
        pickle.loads(pickle.dumps(distribution)).log_prob(z), distribution.log_prob(z)
    )


def test_support_is_enforced(make):
    distribution = make(torch.float32)
    z = distribution.sample()
    with pytest.raises(ValueError, match="support"):
        distribution.log_prob(torch.full_like(z, float("nan")))
