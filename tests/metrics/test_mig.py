"""Mutual information and its gaps against quadrature, enumeration and literal transcriptions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from isavae.data import FactorGrid
from isavae.metrics import (
    Codes,
    binned_information,
    binned_mig,
    dci_mig,
    exact_information,
    jemmig,
    mig,
    quantised_information,
    robust_mig,
)
from isavae.metrics.bins import bin_means
from tests import hand_made

LOG_SIZES = np.log(hand_made.SIZES)


def entropy_by_quadrature(mean, std):
    """H of a one-dimensional mixture of normals: the trapezoid rule, exponentially exact here."""
    z = np.arange((mean - 9 * std).min(), (mean + 9 * std).max(), std.min() / 3)
    log_p = logsumexp(norm.logpdf(z[:, None], mean, std), axis=1) - math.log(len(mean))
    return np.trapezoid(-np.exp(log_p) * log_p, z)


def information_by_quadrature(codes, factor, latent):
    column = codes.grid.column(factor)
    known = column >= 0
    mean = codes.mean[:, latent].double().numpy()
    std = codes.log_std[:, latent].double().exp().numpy()
    given = sum(
        (column == v).sum()
        / known.sum()
        * entropy_by_quadrature(mean[column == v], std[column == v])
        for v in np.unique(column[known])
    )
    return entropy_by_quadrature(mean[known], std[known]) - given


@pytest.mark.parametrize("make", [hand_made.overlapping, hand_made.unbalanced])
def test_exact_information_is_that_of_quadrature(make):
    codes = make()
    found = exact_information(codes)
    for j, (k, name) in [(0, (0, "a")), (3, (1, "b")), (1, (2, "c"))]:
        assert found.mutual[j, k] == pytest.approx(
            information_by_quadrature(codes, name, j), abs=2e-4
        )


def test_perfect_codes_score_one():
    result = mig(hand_made.perfect())
    assert result.value == pytest.approx(1.0, abs=1e-4)
    assert result.per_factor == pytest.approx({"a": 1.0, "b": 1.0, "c": 1.0}, abs=1e-4)
    expected = torch.zeros(5, 3).double()
    expected[:3] = torch.diag(torch.from_numpy(LOG_SIZES))
    torch.testing.assert_close(result.information.mutual, expected, atol=2e-4, rtol=0)
    np.testing.assert_allclose(result.information.factor_entropies, LOG_SIZES)


@pytest.mark.parametrize("score", [mig, binned_mig, robust_mig])
def test_duplicated_codes_score_zero(score):
    result = score(hand_made.duplicated())
    assert result.value == pytest.approx(0.0, abs=1e-4)
    assert result.information.normalized.min(dim=0).values.min() >= -1e-4


@pytest.mark.parametrize("score", [mig, binned_mig, robust_mig])
def test_random_codes_score_nothing(score):
    assert 0 <= score(hand_made.random()).value < 0.01


def test_mig_does_not_see_that_one_latent_carries_all_factors_but_the_others_do():
    codes = hand_made.entangled()
    assert mig(codes).value == pytest.approx(1.0, abs=1e-4)
    # The latent knows log 3, log 4 and log 5 nats: only the lead of c over b counts.
    lead = math.log(5 / 4)
    assert dci_mig(codes).value == pytest.approx(lead / LOG_SIZES.sum(), abs=1e-4)


def test_a_factor_split_over_two_latents_has_no_gap():
    result = mig(hand_made.split())
    assert result.per_factor == pytest.approx({"a": 0.0, "b": 1.0}, abs=1e-4)
    assert result.information.mutual[:2, 0].tolist() == pytest.approx([math.log(2)] * 2, abs=1e-4)


def test_rotation_by_45_degrees_destroys_the_score():
    square = hand_made.codes(hand_made.factor_columns((8, 8)), sizes=(8, 8))
    turned = mig(hand_made.rotated(math.pi / 4, square))
    assert mig(square).value == pytest.approx(1.0, abs=1e-4)
    assert turned.value == pytest.approx(0.0, abs=1e-4)  # by symmetry
    quarter = mig(hand_made.rotated(math.pi / 2, square))
    assert quarter.value == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("score", [mig, binned_mig, dci_mig])
def test_scores_ignore_order_scale_sign_and_shift_of_latents(score):
    codes = hand_made.overlapping()
    factor = torch.tensor([-3.0, 0.1, 1.0, -0.5]).double()
    order = torch.tensor([2, 0, 3, 1])
    mean = (codes.mean * factor + 5)[:, order]
    changed = Codes(mean, (codes.log_std + factor.abs().log())[:, order], codes.grid)
    tolerance = 0.02 if score is binned_mig else 2e-4  # a sign swaps which edge a bin includes
    assert score(changed).value == pytest.approx(score(codes).value, abs=tolerance)


def test_unbalanced_factor_entropy_and_weights_are_empirical():
    labels = np.array([[0], [0], [0], [2], [-1]])
    codes = Codes(
        torch.tensor([[0.0], [0.0], [0.0], [9.0], [4.0]]),
        torch.full((5, 1), -4.0),
        FactorGrid(("v",), (4,), labels=labels),
    )
    result = mig(codes)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert result.information.factor_entropies.item() == pytest.approx(entropy)
    assert result.information.mutual.item() == pytest.approx(entropy, abs=1e-4)
    assert result.value == pytest.approx(1.0, abs=1e-4)


def test_default_factors_are_the_scored_ones_that_vary():
    labels = torch.from_numpy(hand_made.grid().labels_array())
    scored = FactorGrid(("a", "b", "c"), (3, 4, 5), scored=("b", "c"))
    assert tuple(mig(hand_made.perfect()).per_factor) == ("a", "b", "c")
    codes = Codes(labels.double(), torch.full((60, 3), -5.0).double(), scored)
    assert tuple(mig(codes).per_factor) == ("b", "c")
    one_b = codes.take(torch.nonzero(labels[:, 1] == 0)[:, 0])
    assert tuple(mig(one_b).per_factor) == ("c",)
    assert tuple(mig(codes, factors=["a"]).per_factor) == ("a",)


def discretised_as_in_disentanglement_lib(mean, bins):
    return np.stack(
        [np.digitize(m, np.histogram(m, bins)[1][:-1]) for m in mean.double().numpy().T]
    )


@pytest.mark.parametrize("make", [hand_made.overlapping, hand_made.random, hand_made.perfect])
def test_binned_information_is_that_of_disentanglement_lib(make):
    from sklearn.metrics import mutual_info_score

    codes = make()
    discrete = discretised_as_in_disentanglement_lib(codes.mean, 20)
    labels = codes.grid.labels_array()
    expected = np.array([[mutual_info_score(v, z) for v in labels.T] for z in discrete])
    np.testing.assert_allclose(binned_information(codes).mutual, expected, atol=1e-12)
    ordered = np.sort(expected, axis=0)[::-1]
    entropy = [mutual_info_score(v, v) for v in labels.T]
    assert binned_mig(codes).value == pytest.approx(np.mean((ordered[0] - ordered[1]) / entropy))


def test_values_on_an_edge_belong_to_the_bin_above_as_in_numpy():
    mean = torch.tensor([[0.0, 3.0], [5.0, 3.0], [10.0, 3.0], [15.0, 3.0], [20.0, 3.0]])
    expected = discretised_as_in_disentanglement_lib(mean, 4) - 1
    np.testing.assert_array_equal(bin_means(mean, 4)[0], expected[0])
    assert len(bin_means(mean, 4)[1].unique()) == 1


def quantised_by_enumeration(codes, factor, latent, bins, limit):
    """Joint probabilities of (bin, class), one image at a time, with scipy."""
    edges = np.linspace(-limit, limit, bins + 1)
    edges[0], edges[-1] = -np.inf, np.inf
    column = codes.grid.column(factor)
    joint = np.zeros((bins, column.max() + 1))
    for m, s, v in zip(codes.mean[:, latent], codes.log_std[:, latent].exp(), column, strict=True):
        if v >= 0:
            joint[:, v] += np.diff(norm.cdf(edges, float(m), float(s)))
    return joint / joint.sum()


def entropy(p):
    p = np.asarray(p)[np.asarray(p) > 0]
    return -(p * np.log(p)).sum()


@pytest.mark.parametrize("make", [hand_made.overlapping, hand_made.unbalanced])
def test_quantised_information_and_jemmig_by_enumeration(make):
    codes = make()
    names = codes.factor_names()
    joints = [[quantised_by_enumeration(codes, n, j, 30, 2.5) for n in names] for j in range(4)]
    mutual = np.array(
        [[entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p) for p in row] for row in joints]
    )
    found = quantised_information(codes, bins=30, limit=2.5)
    np.testing.assert_allclose(found.mutual, mutual, atol=1e-10)
    values = []
    for k in range(len(names)):
        best, second = np.argsort(-mutual[:, k])[:2]
        p = joints[best][k]
        raw = entropy(p) - mutual[best, k] + mutual[second, k]
        values.append(1 - raw / (entropy(p.sum(0)) + math.log(30)))
    result = jemmig(codes, bins=30, limit=2.5)
    assert list(result.per_factor.values()) == pytest.approx(values, abs=1e-10)


def test_quantised_deterministic_codes_are_those_of_tiny_noise():
    codes = hand_made.overlapping()
    deterministic = Codes(codes.mean, None, codes.grid)
    sharp = Codes(codes.mean, torch.full_like(codes.mean, -20.0), codes.grid)
    assert robust_mig(deterministic).value == pytest.approx(robust_mig(sharp).value, abs=1e-9)
    assert jemmig(deterministic).value == pytest.approx(jemmig(sharp).value, abs=1e-9)


def test_dci_mig_by_its_definition():
    codes = hand_made.overlapping()
    mutual = exact_information(codes).mutual.numpy()
    lead = np.zeros_like(mutual)
    for j, row in enumerate(mutual):
        first, second = np.argsort(-row)[:2]
        lead[j, first] = row[first] - row[second]
    expected = lead.max(axis=0).sum() / LOG_SIZES.sum()
    assert dci_mig(codes).value == pytest.approx(expected)
    assert dci_mig(hand_made.perfect()).value == pytest.approx(1.0, abs=1e-3)


def test_refusals_say_what_to_do():
    codes = hand_made.perfect()
    with pytest.raises(ValueError, match=r"deterministic .* pass log_std"):
        mig(Codes(codes.mean, None, codes.grid))
    with pytest.raises(ValueError, match="the codes have none"):
        mig(Codes(codes.mean, codes.log_std))
    with pytest.raises(ValueError, match="colour"):
        mig(codes, factors=["colour"])
    with pytest.raises(ValueError, match="at least two values"):
        mig(codes.take(torch.tensor([0])))
    with pytest.raises(ValueError, match="distinct"):
        mig(codes, factors=["a", "a"])
