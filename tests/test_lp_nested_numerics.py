"""float32 against 50 digits: random trees, exponents from 0.3 to 100, |z| over sixty decades."""

import math
import random

import pytest
import torch

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
        law = LpNested(LpTree.from_lists(nested(node)), torch.tensor(scale))
        leaf = torch.tensor(z, dtype=torch.float32, requires_grad=True)
        ours = law.log_prob(leaf)
        ours.backward()
        assert not leaf.grad.isnan().any()
        if abs(exact) > torch.finfo(torch.float32).max:
            assert float(ours.detach()) == -math.inf
            continue
        # A density near 1 has a logarithm near 0: there the error is that of its larger terms.
        assert abs(float(ours.detach()) - exact) <= 1e-5 * max(abs(exact), 1), (str(law), z)
        for slope, ours_slope in zip(
            reference.gradient(node, scale, z), leaf.grad.tolist(), strict=True
        ):
            if abs(slope) < torch.finfo(torch.float32).max:
                assert abs(ours_slope - slope) <= 1e-4 * abs(slope) + 1e-37, (str(law), z)


def test_surfaces_of_large_trees():
    for p0, p, count, size in ((0.3, 100.0, 20, 50), (100.0, 0.3, 50, 20), (2.1, 2.2, 100, 10)):
        node = (single(p0), [(single(p), [None] * size)] * count)
        law = LpNested(LpTree.isa(p0, [(p, size)] * count))
        exact = reference.log_surface(node)
        assert abs(float(law.log_surface()) - exact) <= 1e-6 * abs(exact)
