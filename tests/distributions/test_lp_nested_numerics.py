"""float32 against 50 digits: random trees, exponents from 0.3 to 100, |z| over sixty decades."""

import math
import random

import pytest
import torch
from mpmath import mpf
from scipy.special import digamma

from isavae.distributions import LpNested, LpTree
from tests.reference import lp_nested as reference


def single(x: float) -> float:
    """The nearest float32, so that both sides see the same number."""
    return float(torch.tensor(x, dtype=torch.float32))


def random_node(rng: random.Random, depth: int):
    if depth == 0 or rng.random() < 0.3:
        return None
    children = [random_node(rng, depth - 1) for _ in range(rng.randint(1, 4))]
    return single(math.exp(rng.uniform(math.log(0.3), math.log(100)))), children


def random_root(rng: random.Random):
    while (node := random_node(rng, 3)) is None:
        pass
    return node


def nested(node):
    return "z" if node is None else [node[0], [nested(child) for child in node[1]]]


def random_points(rng: random.Random, node, decades: float) -> list[float]:
    size = 10 ** rng.uniform(-decades, decades)
    return [
        single(rng.choice((-1, 1)) * size * 10 ** rng.uniform(-2, 2))
        for _ in range(reference.leaves(node))
    ]


@pytest.mark.parametrize("decades", [0.0, 3.0, 28.0])
def test_single_precision_is_exact_to_its_last_digits(decades):
    rng = random.Random(int(decades))
    for _ in range(25):
        node = random_root(rng)
        scale = single(math.exp(rng.uniform(-2, 2)))
        z = random_points(rng, node, decades)
        exact = reference.log_prob(node, scale, z)
        distribution = LpNested(LpTree.from_lists(nested(node)), torch.tensor(scale))
        leaf = torch.tensor(z, dtype=torch.float32, requires_grad=True)
        ours = distribution.log_prob(leaf)
        ours.backward()
        assert not leaf.grad.isnan().any()
        if abs(exact) > torch.finfo(torch.float32).max:
            assert float(ours.detach()) == -math.inf
            continue
        # A density near 1 has a logarithm near 0: there the error is that of its larger terms.
        assert abs(float(ours.detach()) - exact) <= 1e-5 * max(abs(exact), 1), (
            str(distribution),
            z,
        )
        for slope, ours_slope in zip(
            reference.gradient(node, scale, z), leaf.grad.tolist(), strict=True
        ):
            if abs(slope) < torch.finfo(torch.float32).max:
                assert abs(ours_slope - slope) <= 1e-4 * abs(slope) + 1e-37, (str(distribution), z)


def test_surfaces_of_large_trees():
    for p0, p, count, size in ((0.3, 100.0, 20, 50), (100.0, 0.3, 50, 20), (2.1, 2.2, 100, 10)):
        node = (single(p0), [(single(p), [None] * size)] * count)
        distribution = LpNested(LpTree.isa(p0, [(p, size)] * count))
        exact = reference.log_surface(node)
        assert abs(float(distribution.log_surface()) - exact) <= 1e-6 * abs(exact)


def check_against_digits(node, z: list[float]) -> None:
    """Value and gradient in float32 at z; a zero stands for a leaf with the gradient 0."""
    distribution = LpNested(LpTree.from_lists(nested(node)))
    leaf = torch.tensor(z, dtype=torch.float32, requires_grad=True)
    ours = distribution.log_prob(leaf)
    ours.backward()
    tiny = [mpf(x) if x else mpf("1e-4000") for x in z]
    exact = reference.log_prob(node, 1.0, tiny)
    largest = torch.finfo(torch.float32).max
    if abs(exact) > largest:
        assert float(ours.detach()) == -math.inf
    else:
        assert abs(float(ours.detach()) - exact) <= 1e-5 * max(abs(exact), 1), str(distribution)
    slopes = reference.gradient(node, 1.0, tiny)
    for x, slope, ours_slope in zip(z, slopes, leaf.grad.tolist(), strict=True):
        if x == 0:
            assert ours_slope == 0
        elif abs(exact) <= largest and abs(slope) < largest:
            assert abs(ours_slope - slope) <= 1e-4 * abs(slope) + 1e-37, (str(distribution), x)


@pytest.mark.parametrize("seed", range(40))
def test_leaves_sixty_decades_apart(seed):
    rng = random.Random(seed)
    node = random_root(rng)
    sizes = (0.0, 1e-30, 1e-30, 1e-3, 1.0, 1.0, 1e3, 1e30)
    z = [single(rng.choice((-1, 1)) * rng.choice(sizes)) for _ in range(reference.leaves(node))]
    check_against_digits(node, z)


@pytest.mark.parametrize(("p0", "p"), [(2.1, 2.2), (0.3, 100.0), (100.0, 0.3)])
def test_gradients_of_ten_thousand_leaves(p0, p):
    rng = random.Random(0)
    node = (single(p0), [(single(p), [None] * 50)] * 200)
    # About as large as the distribution draws them, so that f^p0 is of the order of n.
    draw = LpNested(LpTree.isa(p0, [(p, 50)] * 200)).sample().abs().median()
    z = [single(float(draw) * rng.uniform(-2, 2)) for _ in range(10_000)]
    check_against_digits(node, [0.0, *z[1:]])


def test_half_precision_is_computed_in_single():
    distribution = LpNested("2.1[2.2*4, 0.7*4]")
    z = torch.randn(5, 8).bfloat16()
    half, wide = z.clone().requires_grad_(), z.float().requires_grad_()
    value, reference_value = distribution.log_prob(half), distribution.log_prob(wide)
    assert value.dtype == torch.float32
    assert value.equal(reference_value)
    value.sum().backward()
    reference_value.sum().backward()
    assert half.grad.dtype == torch.bfloat16
    assert half.grad.equal(wide.grad.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_density_at_infinity_is_zero(dtype):
    distribution = LpNested("2.1[2.2*2, 0.7*2]")
    z = torch.tensor([math.inf, 1.0, -math.inf, 0.0], dtype=dtype, requires_grad=True)
    log_prob = distribution.log_prob(z)
    log_prob.backward()
    assert float(log_prob.detach()) < (-1e300 if dtype == torch.float64 else -1e38)
    assert not z.grad.isnan().any()


@pytest.mark.parametrize(
    ("p0", "p"), [(0.3, 0.3), (0.3, 100.0), (100.0, 0.3), (1.0, 10.0), (100.0, 100.0)]
)
def test_pathwise_gradients_at_the_ends_of_the_exponents(p0, p):
    """d/dθ E log|z_j|, whose closed form has digammas, and whose spread is bounded for any p."""
    theta = torch.tensor([0.7, p0, p, 2.0], dtype=torch.float64, requires_grad=True)

    def exact_means(theta):
        s, p0, p, p2 = theta
        root = (s.log() + torch.digamma(5 / p0)) / p0
        first = root + (torch.digamma(3 / p0) - torch.digamma(5 / p0)) / p0
        second = root + (torch.digamma(2 / p0) - torch.digamma(5 / p0)) / p0
        return torch.stack(
            [
                first + (torch.digamma(1 / p) - torch.digamma(3 / p)) / p,
                second + (torch.digamma(1 / p2) - torch.digamma(2 / p2)) / p2,
            ]
        )

    exact = torch.autograd.functional.jacobian(exact_means, theta)
    torch.manual_seed(1)
    gradients = []
    for _ in range(40):
        tree = LpTree.isa(2.0, [(2.0, 3), (2.0, 2)])
        logs = LpNested(tree, theta[0], theta[1:]).rsample((1_000,)).abs().log()
        means = logs[:, 0].mean(), logs[:, 3].mean()
        rows = [torch.autograd.grad(mean, theta, retain_graph=True)[0] for mean in means]
        gradients.append(torch.stack(rows))
    estimate = torch.stack(gradients)
    assert estimate.isfinite().all()
    error = estimate.std(0) / len(gradients) ** 0.5
    assert ((estimate.mean(0) - exact).abs() < 6 * error + 1e-9).all()


def mean_logs(p0, p, scale):
    """E log|z_j| of the leaves 0 and 3 of `p0[p*3, z]`, by hand: Eq. 11 and Beta shares."""
    radius = (math.log(scale) + digamma(4 / p0)) / p0

    def share(child, node, p):
        return (digamma(child / p) - digamma(node / p)) / p

    return radius + share(3, 4, p0) + share(1, 3, p), radius + share(1, 4, p0)


@pytest.mark.parametrize("p", [0.3, 2.0, 100.0])
@pytest.mark.parametrize("p0", [0.3, 2.0, 100.0])
def test_pathwise_gradients_in_single_precision_are_finite_differences(p0, p):
    """Of E log|z_j|, which exists under every exponent, in float32; z-limit 6."""
    torch.manual_seed(5)
    draws, h = 20_000, 1e-5
    shifts = ((p0 * h, 0, 0), (0, p * h, 0), (0, 0, h))
    # A parameter per draw: the slope of each sample by itself, for its standard error.
    exponents = torch.tensor([p0, p]).repeat(draws, 1).requires_grad_()
    scale = torch.ones(draws, requires_grad=True)
    z = LpNested("2[2*3, z]", scale, exponents).rsample()
    assert z.isfinite().all()
    for leaf, which in ((0, 0), (3, 1)):
        slopes = torch.autograd.grad(
            z[:, leaf].abs().log().sum(), (exponents, scale), retain_graph=True
        )
        slopes = torch.cat([slopes[0], slopes[1][:, None]], 1).double()
        assert slopes.isfinite().all()
        for column, (d0, d1, ds) in enumerate(shifts):
            up = mean_logs(p0 + d0, p + d1, 1 + ds)[which]
            down = mean_logs(p0 - d0, p - d1, 1 - ds)[which]
            exact = (up - down) / (2 * (d0 + d1 + ds))
            error = slopes[:, column].std() / draws**0.5
            assert abs(slopes[:, column].mean() - exact) < 6 * error + 1e-4 * abs(exact) + 1e-6
