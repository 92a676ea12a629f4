"""Scores without labels against scipy, closed forms and literal transcriptions."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from sklearn.linear_model import Lasso
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import StandardScaler

from isavae.metrics import (
    Codes,
    active_units,
    agreement,
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    informative,
    latent_information,
    latent_mutual_information,
    relative_strength,
    spearman,
    udr,
    udr_ranking,
)
from tests import hand_made


def runs(count=4, images=500):
    """Runs that share three latents, mixed a little, in any order and sign; the fourth is dead."""
    generator = torch.Generator().manual_seed(5)
    shared = torch.randn(images, 3, generator=generator).double()
    found = []
    for _ in range(count):
        mixing = torch.eye(3) + 0.3 * torch.randn(3, 3, generator=generator)
        order = torch.randperm(4, generator=generator)
        mean = torch.cat([shared @ mixing.double(), torch.zeros(images, 1).double()], dim=1)
        log_std = torch.tensor([-2.0, -2.0, -2.0, 0.0]).double().expand(images, 4)
        found.append(Codes(mean[:, order], log_std[:, order].contiguous()))
    return found


def test_active_units_counts_variances():
    mean = torch.tensor([[0.0, 1.0, 5.0], [0.05, -1.0, 5.0]]).double()
    found = active_units(Codes(mean, None))
    assert found.value == 1.0
    assert list(found.terms.values()) == pytest.approx([0.00125, 2.0, 0.0])


def test_gaussian_scores_are_those_of_the_formulas():
    codes = hand_made.overlapping()
    covariance = np.cov(codes.mean.numpy().T)
    correlation = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    assert gaussian_total_correlation(codes).value == pytest.approx(correlation)
    root = scipy.linalg.sqrtm(covariance * np.diag(covariance)[:, None])
    distance = 2 * np.trace(covariance) - 2 * np.trace(root).real
    found = gaussian_wasserstein_correlation(codes)
    assert found.value == pytest.approx(distance)
    assert found.terms["normalised"] == pytest.approx(distance / np.trace(covariance))


def test_gaussian_total_correlation_of_two_latents_is_that_of_their_correlation():
    z = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0)).double()
    other = torch.randn(1000, 1, generator=torch.Generator().manual_seed(1)).double()
    codes = Codes(torch.cat([z, 0.6 * z + other, torch.full_like(z, 3.0)], dim=1), None)
    r = np.corrcoef(codes.mean[:, :2].numpy().T)[0, 1]
    assert gaussian_total_correlation(codes).value == pytest.approx(-0.5 * math.log(1 - r**2))


def test_independent_latents_have_no_gaussian_correlation():
    codes = hand_made.codes(hand_made.factor_columns())
    assert gaussian_total_correlation(codes).value == pytest.approx(0.0, abs=1e-9)
    assert gaussian_wasserstein_correlation(codes).value == pytest.approx(0.0, abs=1e-9)


def test_rounding_makes_no_distance_negative():
    """Of this grid of classes the two traces differ by -2e-15."""
    assert gaussian_wasserstein_correlation(Codes(hand_made.factor_columns((4, 6, 3)))).value == 0


def test_latent_mutual_information_is_that_of_scikit_learn():
    codes = hand_made.overlapping()
    binned = [np.digitize(m, np.histogram(m, 20)[1][:-1]) for m in codes.mean.numpy().T]
    pairs = [mutual_info_score(binned[i], binned[j]) for i in range(4) for j in range(4) if i != j]
    assert latent_mutual_information(codes).value == pytest.approx(np.mean(pairs))


def test_spearman_is_that_of_scipy_with_ties():
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 9, (200, 3)), generator.integers(0, 50, (200, 2))
    found = spearman(torch.from_numpy(x).double(), torch.from_numpy(y).double())
    expected = [[abs(scipy.stats.spearmanr(a, b)[0]) for b in y.T] for a in x.T]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def strength_as_published(matrix):
    column = np.nanmean(np.nan_to_num(np.power(np.max(matrix, axis=0), 2) / matrix.sum(axis=0), 0))
    row = np.nanmean(np.nan_to_num(np.power(np.max(matrix, axis=1), 2) / matrix.sum(axis=1), 0))
    return (column + row) / 2


@pytest.mark.parametrize("rule", ["lasso", "spearman"])
def test_udr_is_that_of_disentanglement_lib(rule):
    every = runs()
    masks = [informative(codes).numpy() for codes in every]
    assert [mask.sum() for mask in masks] == [3] * 4
    scaled = [StandardScaler().fit_transform(c.mean) * m for c, m in zip(every, masks, strict=True)]
    for i, codes in enumerate(every):
        strengths = []
        for j in range(len(every)):
            if i == j:
                continue
            if rule == "lasso":
                model = Lasso(alpha=0.1).fit(scaled[j], scaled[i])
                matrix = np.abs(model.coef_).T
            else:
                matrix = np.abs(
                    scipy.stats.spearmanr(scaled[j][:, masks[j]], scaled[i][:, masks[i]])[0]
                )
                matrix = matrix[:3, 3:]
            if rule == "lasso":
                matrix = matrix[masks[j]][:, masks[i]]
            strengths.append(strength_as_published(matrix))
        others = every[:i] + every[i + 1 :]
        found = udr(codes, others, rule)
        assert list(found.terms.values()) == pytest.approx(strengths, abs=1e-3)
        assert found.value == pytest.approx(np.median(strengths), abs=1e-3)
        assert udr_ranking(every, rule)[i].terms == found.terms


def test_runs_that_agree_up_to_order_and_sign_agree_fully():
    codes = runs(1)[0]
    turned = Codes(-2 * codes.mean[:, [2, 0, 3, 1]], codes.log_std[:, [2, 0, 3, 1]])
    assert agreement(codes, [turned]).value == pytest.approx(1.0)
    assert relative_strength(torch.eye(3)) == 1.0
    assert relative_strength(torch.ones(4, 4)) == pytest.approx(0.25)


def test_a_latent_without_a_partner_counts_as_no_agreement():
    codes = runs(1)[0]
    blind = Codes(codes.mean.clone(), codes.log_std.clone())
    active = int(torch.nonzero(informative(codes))[0, 0])
    blind.mean[:, active], blind.log_std[:, active] = 0.0, 0.0
    assert agreement(codes, [blind]).value == pytest.approx(2 / 3)


def test_information_of_a_normal_channel_and_of_a_pruned_latent():
    """I(x; z) = log(1 + signal / noise) / 2 nats for normal means of known noise."""
    signal = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)).double()
    faint = math.sqrt(math.exp(0.08) - 1)  # 0.04 nats: below the threshold
    clear = math.sqrt(math.exp(0.12) - 1)  # 0.06 nats
    codes = Codes(signal * torch.tensor([faint, clear, 0.0]), torch.zeros(20_000, 3))
    assert latent_information(codes).tolist() == pytest.approx([0.04, 0.06, 0.0], abs=2e-3)
    assert informative(codes).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="deterministic"):
        latent_information(Codes(codes.mean))


def test_runs_of_other_images_are_refused():
    first, second = runs(2)
    with pytest.raises(ValueError, match="same 500 images"):
        udr(first, [second.take(torch.arange(10))])
    with pytest.raises(ValueError, match="lasso"):
        udr(first, [second], "pearson")
