"""Joint densities and informations of subspaces against scipy, exact ones and enumeration."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from isavae.distributions import LpTree, log_mixture
from isavae.metrics import Codes, exact_information, mig, subspace_information, subspace_mig
from isavae.metrics.subspaces import components, draw, log_posterior
from tests import hand_made


def log_densities(codes, z, latents):
    """log N(z_i; mean_n, std_n), summed over latents, for every draw i and image n, with scipy."""
    mean, std = (v[:, latents].numpy() for v in (codes.mean, codes.log_std.exp()))
    return norm.logpdf(z[:, None, latents].numpy(), mean, std).sum(axis=2)


@pytest.mark.parametrize("latents", [[0], [3, 1], [0, 1, 2, 3]])
def test_log_mixture_is_that_of_scipy(latents):
    codes = hand_made.overlapping()
    rows, z = draw(codes, 300, seed=1)
    own = log_posterior(codes, rows, z, latents)
    every = log_densities(codes, z, latents)
    np.testing.assert_allclose(own, every[np.arange(300), rows], atol=1e-9)
    found = log_mixture(z[:, latents], components(codes, latents), own)
    np.testing.assert_allclose(found, logsumexp(every, axis=1) - math.log(60), atol=1e-9)


def test_log_mixture_of_float32_codes_far_from_zero_does_not_cancel():
    mean = torch.tensor([[300.0], [300.002]])
    codes = Codes(mean, torch.full((2, 1), math.log(1e-3)))
    rows, z = draw(codes, 50, seed=0)
    found = log_mixture(z, components(codes, [0]), log_posterior(codes, rows, z, [0]))
    doubles = Codes(mean.double(), codes.log_std.double())
    expected = logsumexp(log_densities(doubles, z, [0]), axis=1) - math.log(2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_posteriors_too_unlike_for_the_sum_are_refused():
    codes = Codes(torch.zeros(2, 40), torch.tensor([[0.0], [-20.0]]).repeat(1, 40))
    coefficients = components(codes, list(range(40)))
    with pytest.raises(ValueError, match=r"e\^700"):
        log_mixture(torch.zeros(1, 40).double(), coefficients, torch.tensor([-37.0]).double())


@pytest.mark.parametrize("make", [hand_made.overlapping, hand_made.unbalanced])
def test_subspaces_of_one_latent_agree_with_the_exact_information(make):
    codes = make()
    exact = exact_information(codes).mutual
    sampled = [
        subspace_information(codes, [[j] for j in range(4)], samples=2000, seed=seed)
        for seed in range(8)
    ]
    deviations = torch.stack([(s.mutual - exact) / s.standard_errors for s in sampled])
    assert deviations.abs().max() < 4.5  # 96 standard normals
    assert 0.75 < deviations.square().mean().sqrt() < 1.25  # the standard errors are honest


def test_a_factor_may_use_all_latents_of_its_subspace():
    codes = hand_made.split()
    assert mig(codes).per_factor["a"] == pytest.approx(0.0, abs=1e-4)
    whole = subspace_mig(codes, [slice(0, 2), [2]], samples=200)
    assert whole.per_factor == pytest.approx({"a": 1.0, "b": 1.0}, abs=1e-9)
    torn = subspace_mig(codes, [[0], [1, 2]], samples=200)
    assert torn.per_factor["a"] == pytest.approx(0.0, abs=1e-9)


def test_subspaces_of_a_tree():
    tree = LpTree.isa(2.1, [(2.2, 2), (2.2, 1)])
    assert subspace_mig(hand_made.split(), tree.subspaces, samples=100).value == pytest.approx(1.0)


def published_information(codes, rows, z, latents, labels):
    """I(z_S; v) as the published code has it: the log-weight joins every latent's density."""

    def entropy(these, draws):
        mean, std = codes.mean[these].numpy(), codes.log_std[these].exp().numpy()
        weighted = norm.logpdf(draws[:, None, latents], mean[:, latents], std[:, latents])
        return -logsumexp((weighted - math.log(len(these))).sum(axis=2), axis=1)

    z = z.numpy()
    everything = entropy(np.arange(len(codes)), z).mean()
    own = labels[rows]
    given = np.concatenate(
        [entropy(np.flatnonzero(labels == v), z[own == v]) for v in np.unique(own)]
    )
    return everything - given.mean()


def test_the_published_score_counts_the_log_weight_once_a_latent():
    codes = hand_made.overlapping()
    subspaces = [[0, 1, 2], [3]]
    published = subspace_mig(codes, subspaces, samples=4000, seed=3, published=True)
    right = subspace_mig(codes, subspaces, samples=4000, seed=3)
    labels = codes.grid.labels_array()
    rows, z = draw(codes, 4000, seed=3)
    for k in range(3):
        for s, latents in enumerate(subspaces):
            expected = published_information(codes, rows, z, latents, labels[:, k])
            # Equal but for the sampled classes' frequencies, 1 / sqrt(4000).
            found = published.information.mutual[s, k]
            assert found == pytest.approx(expected, abs=0.05)
    extra = published.information.mutual - right.information.mutual
    entropies = torch.from_numpy(np.log(hand_made.SIZES))
    torch.testing.assert_close(extra, torch.stack([2 * entropies, 0 * entropies]))


def test_the_published_score_is_right_for_equal_sizes():
    codes = hand_made.overlapping()
    halves = [slice(0, 2), slice(2, 4)]
    right, published = (
        subspace_mig(codes, halves, samples=500, published=flag).value for flag in (False, True)
    )
    assert published == pytest.approx(right, abs=1e-9)


def test_standard_error_of_the_score_is_honest():
    codes = hand_made.overlapping()
    scores = [subspace_mig(codes, [[0, 1], [2, 3]], samples=500, seed=seed) for seed in range(30)]
    spread = np.std([s.value for s in scores], ddof=1)
    stated = np.mean([s.standard_error for s in scores])
    assert 0.6 < spread / stated < 1.5


@pytest.mark.parametrize("subspace", [[], [0, 0], [4], slice(4, 9)])
def test_bad_subspaces_are_refused(subspace):
    with pytest.raises(ValueError, match=r"distinct latents of 0\.\.3"):
        subspace_mig(hand_made.overlapping(), [subspace])
