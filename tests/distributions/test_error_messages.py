"""Error messages of the distributions: what must hold, what was given, what to do."""

import jaxtyping
import pytest
import torch
from torch.distributions import Gamma, Independent, Normal, Poisson, Uniform

from isavae.distributions import (
    GeneralizedNormal,
    LpNested,
    LpTree,
    MinibatchWeights,
    conditional_entropies,
    fit_lp_nested,
    leaf_density,
    least_stds,
    log_joint_and_marginals,
    log_marginals,
    rotation_curve,
)

NAN, INF = float("nan"), float("inf")
TREE = "2[2*2, z]"


def samples(bad: float | None = None, n: int = 3) -> torch.Tensor:
    z = torch.randn(50, n)
    if bad is not None:
        z[:2, 0] = bad
    return z


# what is wrong -> the call, what must hold, what was given, what to do
BAD = {
    "empty node": (lambda: LpTree.parse("2[]"), "an exponent or a leaf", "']'", "must read like"),
    "empty node in lists": (
        lambda: LpTree.from_lists([2.0, []]), "at least one child", "[2.0, []]", "see LpTree",
    ),
    "no subspaces": (lambda: LpTree.isa(2.0, []), "at least one child", "(2.0, [])", "see LpTree"),
    "no leaves": (lambda: LpTree.parse("2*0"), "at least one leaf", "'0'", "must read like"),
    "no tree": (lambda: LpTree((2.0,), (2, 0)), "one tree", "(2, 0)", "0 for a leaf"),
    "a leaf as root": (lambda: LpTree((), (0,)), "an inner node", "(0,)", "write '2*1'"),
    "exponent 0 in a tree": (
        lambda: LpTree.isa(0.0, [(2.0, 3)]), "positive and finite", "0.0", "choose p > 0",
    ),
    "NaN in a tree": (lambda: LpTree.parse("nan*3"), "positive, finite", "'nan*3'", "read like"),
    "exponents of wrong count in a tree": (
        lambda: LpTree((2.0,), (2, 2, 0, 0, 0)), "here 2", "not 1", "in preorder",
    ),
    "negative exponent": (
        lambda: LpNested(TREE, exponents=torch.tensor([2.0, -1.0])),
        "exponents must be positive", "not -1.0, which is one of 1 such entries out of 2",
        "softplus",
    ),
    "NaN as exponent": (
        lambda: LpNested(TREE, exponents=torch.tensor([NAN, 2.0])),
        "exponents must be positive", "not nan", "softplus",
    ),
    "scale 0": (
        lambda: LpNested(TREE, torch.zeros(1000)),
        "scale must be positive", "out of 1000", "softplus",
    ),
    "infinite scale": (lambda: LpNested(TREE, INF), "finite", "not inf", "softplus"),
    "exponents of wrong count": (
        lambda: LpNested(TREE, exponents=torch.ones(4, 3)), "must be 2", "(4, 3)", "in preorder",
    ),
    "batch shapes that do not broadcast": (
        lambda: LpNested(TREE, torch.ones(2), torch.ones(3, 2)),
        "broadcast", "(3,), (2,), ()", "add",
    ),
    "wrong event size": (
        lambda: LpNested(TREE).log_prob(torch.zeros(4, 5)), "3 leaves", "(4, 5)", "fit the tree",
    ),
    "wrong event size of a norm": (
        lambda: LpNested(TREE).norm(torch.zeros(5)), "3 leaves", "(5,)", "fit the tree",
    ),
    "wrong event size of subspace norms": (
        lambda: LpNested(TREE).subspace_norms(torch.zeros(5)), "3 leaves", "(5,)", "fit the tree",
    ),
    "NaN as leaf": (
        lambda: LpNested(TREE).log_prob(samples(NAN)), "real number", "2 of 150", "look where",
    ),
    "radial distribution on the line": (
        lambda: LpNested(TREE, radial=Normal(0.0, 1.0)), "positive numbers", "Normal(", "take",
    ),
    "radial distribution partly below 0": (
        lambda: LpNested(TREE, radial=Uniform(-0.5, 2.0)), "positive numbers", "Uniform(", "take",
    ),
    "discrete radial distribution": (
        lambda: LpNested(TREE, radial=Poisson(2.0)), "continuous", "Poisson(", "take",
    ),
    "radial distribution of vectors": (
        lambda: LpNested(TREE, radial=Independent(Gamma(torch.ones(2), 1.0), 1)),
        "one-dimensional", "Independent(", "take",
    ),
    "radial distribution and scale": (
        lambda: LpNested(TREE, torch.tensor(1.0), radial=Gamma(2.0, 1.0)),
        "belongs to the radial distribution of Eq. 11", "Gamma(", "pass one",
    ),
    "fit of a constant column": (
        lambda: fit_lp_nested(samples() * torch.tensor([1.0, 0.0, 1.0]), TREE),
        "every column must vary", "columns [1]", "leave them out",
    ),
    "fit of too few": (
        lambda: fit_lp_nested(samples()[:3], TREE),
        "more samples than parameters, 3", "not 3", "bring",
    ),
    "fit of none": (lambda: fit_lp_nested(samples()[:0], TREE), "more samples", "not 0", "bring"),
    "fit of NaN": (
        lambda: fit_lp_nested(samples(NAN), TREE), "finite", "2 of 50", "leave those out",
    ),
    "fit of infinity": (
        lambda: fit_lp_nested(samples(INF), TREE), "finite", "2 of 50", "leave those out",
    ),
    "fit of wrong width": (
        lambda: fit_lp_nested(samples(n=4), TREE), "(samples, 3)", "(50, 4)", "fit the tree",
    ),
    "fit with unknown exponents fixed": (
        lambda: fit_lp_nested(samples(), TREE, fixed=[2]), "positions below 2", "[2]", "count",
    ),
    "no such leaf": (
        lambda: leaf_density(LpNested(TREE), 3, torch.zeros(1)), "below 3", "3", "count",
    ),
    "no such axis": (
        lambda: rotation_curve(LpNested(TREE), (0, 3), torch.ones(1)), "below 3", "(0, 3)", "count",
    ),
    "one axis twice": (
        lambda: rotation_curve(LpNested(TREE), (1, 1), torch.ones(1)),
        "different", "(1, 1)", "count",
    ),
    "a batch of normals to rotate": (
        lambda: rotation_curve(Normal(torch.zeros(3), 1.0), (0, 1), torch.ones(1)),
        "one distribution over vectors", "(3,) and event shape ()", "Independent(..., 1)",
    ),
    "a batch of trees to rotate": (
        lambda: rotation_curve(LpNested(TREE, torch.ones(4)), (0, 1), torch.ones(1)),
        "one distribution over vectors", "(4,) and event shape (3,)", "take one",
    ),
    "codes of three axes to rotate": (
        lambda: rotation_curve(LpNested(TREE), (0, 1), torch.ones(1), torch.ones(5, 2, 3)),
        "(samples, n)", "(5, 2, 3)", "flatten",
    ),
    "no codes to rotate": (
        lambda: rotation_curve(LpNested(TREE), (0, 1), torch.ones(1), torch.ones(0, 3)),
        "(samples, n)", "(0, 3)", "flatten",
    ),
    "points of two axes": (
        lambda: leaf_density(LpNested(TREE), 0, torch.zeros(2, 2)), "a vector", "(2, 2)", "flatten",
    ),
    "a leaf of no size": (
        lambda: leaf_density(LpNested("0.005*2"), 0, torch.zeros(1)),
        "within the range", "leaf 0", "raise",
    ),
    "a search from far away": (
        lambda: fit_lp_nested(samples(n=2), "1000*2"), "near those", "1000*2", "start from 2",
    ),
    "samples of another batch than the weights": (
        lambda: log_marginals(*[samples()] * 3, MinibatchWeights.weighted(49, 99)),
        "one shape", "(50, 3), (50, 3), (50, 3) and weights for 49", "from the batch's size",
    ),
    "stds of one latent": (
        lambda: log_joint_and_marginals(
            samples(), samples(), torch.ones(50, 1), MinibatchWeights.weighted(50, 99)
        ),
        "one shape", "(50, 1)", "from the batch's size",
    ),
    "more stratified samples than data": (
        lambda: MinibatchWeights.stratified(5, 3), "4 or more data", "not 3", "lower batch_size",
    ),
    "labels of another mixture": (
        lambda: conditional_entropies(samples(), samples(), [(torch.zeros(3).long(), 1)]),
        "each of 50", "shape (3,)", "from 0",
    ),
    "labels beyond their number": (
        lambda: conditional_entropies(samples(), samples(), [(torch.arange(50), 49)]),
        "-1..48", "from 0 to 49", "from 0",
    ),
    "log-stds of other means": (
        lambda: least_stds(samples(), torch.zeros(50, 1)), "one shape", "(50, 1)", "pass codes",
    ),
    "least stds of NaN": (
        lambda: least_stds(samples(NAN), torch.zeros(50, 3)), "finite", "NaN", "drop",
    ),
    "kappa": (lambda: GeneralizedNormal.from_kappa(-1.0), "above -1", "-1.0", "raise"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_a_sentence(what, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    call, must_hold, given, to_do = BAD[what]
    with pytest.raises(ValueError) as caught:
        call()
    told = str(caught.value)
    for part in (must_hold, given, to_do):
        assert part.lower() in told.lower(), told
    assert ": " in told
    assert told.endswith((".", "…"))
    assert len(told) < 400


def test_a_scale_beyond_single_precision_says_what_to_do():
    with pytest.raises(ValueError, match="float64"):
        LpNested.standardised("100[1*4, 1*4]")
    exponents = torch.tensor([100.0, 1.0, 1.0], dtype=torch.float64)
    wide = LpNested.standardised("100[1*4, 1*4]", exponents=exponents)
    assert torch.allclose(wide.variance, torch.ones(8, dtype=torch.float64))
