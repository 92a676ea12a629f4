"""Samples against densities in several dimensions: energy tests with rejection sampling.

The other sample is drawn by rejection from Eqs. 7 and 9 as they stand, in numpy, without a line of
the package. Labels are permuted 1,999 times under a fixed seed, and at most the two largest
statistics alarm: 1/1000 per distribution, should the stream of random numbers change.
"""

import numpy as np
import pytest
import torch
from torch.distributions import Gamma

from isavae.distributions import LpNested, LpTree

SIZE = 2_000
PERMUTATIONS = 1_999
DOUBLE = torch.tensor(1.0, dtype=torch.float64)

# name -> the tree, s of Eq. 11; a node is (exponent, children), a leaf None
DISTRIBUTIONS = {
    "single leaf": ((0.7, [None]), 0.9),
    "single leaf under single children": ((3.0, [(1.2, [(0.8, [None])])]), 1.1),
    "deep": ((2.0, [(1.1, [None, (3.0, [(0.9, [None, None])])])]), 1.4),
    "unbalanced": ((1.5, [None, (4.0, [None, (0.8, [None])])]), 0.7),
}


def norm(node, z):
    """f of Eq. 9 at the rows of z; takes its leaves from the front."""
    if node is None:
        return np.abs(z.pop(0))
    p, children = node
    return sum(norm(child, z) ** p for child in children) ** (1 / p)


def leaves(node):
    return 1 if node is None else sum(leaves(child) for child in node[1])


def nested(node):
    return "z" if node is None else [node[0], [nested(child) for child in node[1]]]


def by_rejection(log_density, n, edge, seed):
    """Draws of a density that is highest, 1, at 0, and negligible outside a cube."""
    rng = np.random.default_rng(seed)
    found = []
    while sum(map(len, found)) < SIZE:
        z = rng.uniform(-edge, edge, (200_000, n))
        found.append(z[np.log(rng.uniform(size=len(z))) < log_density(list(z.T))])
    return np.concatenate(found)[:SIZE]


def energy_rank(x, y, seed):
    """How many labellings of both samples separate them as well as the true one (Székely 2004)."""
    both = torch.from_numpy(np.concatenate([x, y])).float()
    both = torch.cat([both, both.abs().log()], 1)  # sees more: where the density has its cusps
    distances = torch.cdist(both, both)
    labels = torch.ones(PERMUTATIONS + 1, 2 * SIZE)
    labels[:, SIZE:] = -1
    rng = torch.Generator().manual_seed(seed)
    for row in range(1, PERMUTATIONS + 1):
        labels[row] = labels[row, torch.randperm(2 * SIZE, generator=rng)]
    energies = -((labels @ distances) * labels).sum(1)
    return int((energies >= energies[0]).sum())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_are_those_of_rejection(name):
    node, s = DISTRIBUTIONS[name]
    torch.manual_seed(11)
    ours = LpNested(LpTree.from_lists(nested(node)), s * DOUBLE).sample((SIZE,)).numpy()
    edge = (16 * s) ** (1 / node[0])  # e^-16 of the highest density
    others = by_rejection(lambda z: -(norm(node, z) ** node[0]) / s, leaves(node), edge, 12)
    assert energy_rank(ours, others, 13) > 2


def test_samples_under_another_radial_distribution_are_those_of_rejection():
    """Under v ~ Gamma(3, 2) three leaves have the density e^(-2f) of Eq. 7, up to a constant."""
    node = (1.5, [None, (3.0, [None, None])])
    torch.manual_seed(14)
    distribution = LpNested(LpTree.from_lists(nested(node)), radial=Gamma(3 * DOUBLE, 2 * DOUBLE))
    others = by_rejection(lambda z: -2 * norm(node, z), 3, 8.0, 15)
    assert energy_rank(distribution.sample((SIZE,)).numpy(), others, 16) > 2


def test_another_distribution_alarms():
    """0.9 and 3 swapped in the deep tree: the radius stays the same, only the directions change."""
    node, s = DISTRIBUTIONS["deep"]
    edge = (16 * s) ** (1 / node[0])
    others = by_rejection(lambda z: -(norm(node, z) ** node[0]) / s, leaves(node), edge, 12)
    torch.manual_seed(11)
    wrong = LpNested("2[1.1[z, 0.9[3*2]]]", s * DOUBLE).sample((SIZE,)).numpy()
    assert energy_rank(wrong, others, 13) <= 2
