"""Predictor-based scores: known answers, literal transcriptions, honest standard errors."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from isavae.data import FactorGrid
from isavae.metrics import (
    Codes,
    beta_vae_metric,
    binned_irs,
    completeness,
    dci,
    disentanglement,
    explicitness,
    factor_vae_metric,
    few_label_accuracy,
    irs,
    med,
    modularity,
    sap,
)
from isavae.metrics.predictors import logistic_regression
from isavae.metrics.samples import ClassSampler, split
from isavae.metrics.supervised import _auc
from tests import hand_made

IMAGES, SIZES = 600, (3, 4, 5)


def random_grid():
    labels = np.random.default_rng(0).integers(0, SIZES, (IMAGES, 3))
    return FactorGrid(("a", "b", "c"), SIZES, labels=labels)


def perfect(noise=0.1, copies=1):
    """A latent a factor with a little noise, its own in every copy."""
    labels = torch.from_numpy(random_grid().labels_array()).double().repeat(1, copies)
    generator = torch.Generator().manual_seed(0)
    noises = noise * torch.randn(labels.shape, generator=generator).double()
    return Codes(labels - labels.mean(dim=0) + noises, None, random_grid())


def one_hot(noise=0.0):
    """A latent a class: linear readout of everything."""
    labels = torch.from_numpy(random_grid().labels_array())
    hot = torch.cat([torch.nn.functional.one_hot(v) for v in labels.T], dim=1).double()
    noises = noise * torch.randn(hot.shape, generator=torch.Generator().manual_seed(0)).double()
    return Codes(hot + noises, None, random_grid())


@pytest.mark.parametrize("predictor", ["boosting", "forest", "lasso"])
def test_dci_of_perfect_codes_is_one(predictor):
    found = dci(perfect(), predictor=predictor)
    assert 0.97 < found.value <= 1
    assert 0.97 < found.terms["completeness"] <= 1
    assert found.terms["informativeness"] > 0.95


@pytest.mark.parametrize("predictor", ["boosting", "forest", "lasso"])
def test_dci_of_rotated_codes_is_low_and_of_duplicated_ones_incomplete(predictor):
    turned = dci(hand_made.rotated(math.pi / 4, perfect()), ["a", "b"], predictor)
    assert turned.value < 0.6
    doubled = dci(perfect(copies=2), predictor=predictor)
    assert doubled.value > 0.8
    assert doubled.terms["completeness"] < 0.85


def test_exact_boosting_and_histogram_boosting_agree():
    codes = perfect(noise=0.5)
    fast, exact = (
        dci(codes, ["a", "b"], predictor, train=300, test=300)
        for predictor in ("boosting", "boosting_exact")
    )
    assert fast.value == pytest.approx(exact.value, abs=0.1)
    assert fast.terms == pytest.approx(exact.terms, abs=0.1)


def test_disentanglement_and_completeness_are_those_of_disentanglement_lib():
    importance = np.random.default_rng(0).gamma(0.3, size=(7, 4))
    per_code = 1 - scipy.stats.entropy(importance.T + 1e-11, base=4)
    per_factor = 1 - scipy.stats.entropy(importance + 1e-11, base=7)
    matrix = torch.from_numpy(importance)
    weights = importance / importance.sum()
    assert disentanglement(matrix) == pytest.approx((per_code * weights.sum(1)).sum())
    assert completeness(matrix) == pytest.approx((per_factor * weights.sum(0)).sum())
    assert disentanglement(torch.zeros(3, 2)) == 0.0


def test_sap_is_that_of_disentanglement_lib():
    codes = hand_made.random(3)
    codes = Codes(
        codes.mean + 0.8 * hand_made.factor_columns((10, 10, 40))[:, :3], None, codes.grid
    )
    found = sap(codes, train=600, test=300, seed=4)
    expected = []
    for name in codes.grid.names:
        parts = split(codes, codes.factor(name), 600, 300, seed=4)
        accuracy = []
        for j in range(codes.latents):
            classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            classifier.fit(parts.train_x[:, [j]], parts.train_y)
            accuracy.append(np.mean(classifier.predict(parts.test_x[:, [j]]) == parts.test_y))
        ordered = np.sort(accuracy)
        expected.append(ordered[-1] - ordered[-2])
    assert list(found.per_factor.values()) == pytest.approx(expected)
    assert found.value == pytest.approx(np.mean(expected))


def test_sap_of_binary_factors_that_latents_tell():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (3000, 3), generator=generator)
    grid = FactorGrid(("a", "b", "c"), (2, 2, 2), labels=labels.numpy())
    found = sap(Codes(labels.double() - 0.5, None, grid), train=1000, test=2000)
    assert found.value == pytest.approx(0.5, abs=0.03)
    assert 0 < found.standard_error < 0.02


def test_explicitness_is_that_of_disentanglement_lib():
    codes = perfect(noise=1.0)
    found = explicitness(codes, train=400, test=200, seed=1)
    for name in codes.grid.names:
        parts = split(codes, codes.factor(name), 400, 200, seed=1).standardised
        model = logistic_regression().fit(parts.train_x, parts.train_y)
        indicators = parts.test_y[:, None] == model.classes_
        expected = roc_auc_score(indicators, model.predict_proba(parts.test_x), average="macro")
        assert found.per_factor[name] == pytest.approx(expected)


def test_explicitness_of_readable_and_random_codes():
    assert explicitness(one_hot()).value == pytest.approx(1.0)
    chance = explicitness(hand_made.random())
    assert chance.value == pytest.approx(0.5, abs=0.03)


def test_standard_error_of_the_auc_is_that_of_the_bootstrap():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    probability = random.random((400, 3)) + 0.6 * (labels[:, None] == np.arange(3))
    values = _auc(probability, labels, np.arange(3))
    indicators = labels[:, None] == np.arange(3)
    assert values.mean() == pytest.approx(roc_auc_score(indicators, probability))
    again = [random.integers(0, 400, 400) for _ in range(120)]
    spread = np.std([roc_auc_score(indicators[rows], probability[rows]) for rows in again])
    assert values.std() / 20 == pytest.approx(spread, rel=0.3)


def test_few_labels():
    found = few_label_accuracy(one_hot(noise=0.3), labels=(20, 300), test=200)
    assert found.terms["accuracy_300"] == found.value > 0.85
    assert 0.4 < found.terms["accuracy_20"] < found.value - 0.05
    assert found.term_errors["accuracy_20"] > 0
    boosted = few_label_accuracy(perfect(), ["a"], labels=(100,), predictor="boosting", repeats=1)
    assert boosted.value > 0.9


def test_same_class_draws_each_image_of_the_class_equally_often():
    factor = hand_made.unbalanced().factor("b")
    draws = ClassSampler(factor)
    row = factor.known[:1].numpy()
    like = draws.same_class(np.repeat(row, 20_000), np.random.default_rng(0))
    members = np.flatnonzero(factor.labels.numpy() == factor.labels[row].numpy())
    counts = np.bincount(like, minlength=len(factor.labels))
    assert counts.sum() == counts[members].sum()
    assert scipy.stats.chisquare(counts[members]).pvalue > 1e-4
    anywhere = np.bincount(
        draws.any_labelled(40_000, np.random.default_rng(1)), minlength=len(factor.labels)
    )
    assert scipy.stats.chisquare(anywhere[factor.known.numpy()]).pvalue > 1e-4
    assert anywhere.sum() == anywhere[factor.known.numpy()].sum()


def factor_vae_as_published(codes, points, batch_size, random):
    """Votes of one point after the other, as disentanglement_lib draws them."""
    mean, labels = codes.mean.numpy(), codes.grid.labels_array()
    variances = mean.var(axis=0, ddof=1)
    votes = np.zeros((labels.shape[1], mean.shape[1]), dtype=int)
    for _ in range(points):
        factor = random.integers(labels.shape[1])
        value = labels[random.integers(len(labels)), factor]
        rows = random.choice(np.flatnonzero(labels[:, factor] == value), batch_size)
        votes[factor, (mean[rows].var(axis=0, ddof=1) / variances).argmin()] += 1
    return votes


def test_factor_vae_metric_is_that_of_disentanglement_lib():
    codes = hand_made.overlapping()
    random = np.random.default_rng(0)
    train, test = (factor_vae_as_published(codes, 2000, 8, random) for _ in range(2))
    expected = test[train.argmax(axis=0), np.arange(4)].sum() / 2000
    found = factor_vae_metric(codes, train=2000, test=2000, batch_size=8, minimum_std=0.0)
    assert found.value == pytest.approx(expected, abs=6 * found.standard_error)
    assert 0.4 < found.value < 0.95


def beta_vae_as_published(codes, points, batch_size, random):
    mean, labels = codes.mean.numpy(), codes.grid.labels_array()
    x, y = np.empty((points, mean.shape[1])), random.integers(labels.shape[1], size=points)
    for i, factor in enumerate(y):
        first = random.integers(len(labels), size=batch_size)
        same = [np.flatnonzero(labels[:, factor] == labels[row, factor]) for row in first]
        second = [random.choice(rows) for rows in same]
        x[i] = np.abs(mean[first] - mean[second]).mean(axis=0)
    return x, y


def test_beta_vae_metric_is_that_of_disentanglement_lib():
    codes = hand_made.overlapping()
    random = np.random.default_rng(0)
    x, y = beta_vae_as_published(codes, 1500, 3, random)
    new_x, new_y = beta_vae_as_published(codes, 1500, 3, random)
    expected = np.mean(logistic_regression().fit(x, y).predict(new_x) == new_y)
    found = beta_vae_metric(codes, train=1500, test=1500, batch_size=3)
    assert found.value == pytest.approx(expected, abs=6 * found.standard_error)
    assert 0.4 < found.value < 0.95


@pytest.mark.parametrize("metric", [beta_vae_metric, factor_vae_metric])
def test_voting_metrics_of_perfect_random_and_dead_codes(metric):
    perfect_codes = hand_made.codes(hand_made.factor_columns())
    assert metric(perfect_codes, train=500, test=500).value == 1.0
    chance = metric(hand_made.random(), train=500, test=2000)
    assert chance.value == pytest.approx(1 / 3, abs=0.08)
    binomial = (chance.value * (1 - chance.value) / 2000) ** 0.5
    assert chance.standard_error == pytest.approx(binomial)
    dead = Codes(torch.zeros(60, 3), None, hand_made.grid())
    assert metric(dead, train=100, test=500).value < 0.45


def irs_as_published(labels, mean, quantile):
    largest = np.max(np.abs(mean - mean.mean(axis=0)), axis=0)
    moved = np.zeros((mean.shape[1], labels.shape[1]))
    for k in range(labels.shape[1]):
        values = np.unique(labels[:, k])
        for value in values:
            match = labels[:, k] == value
            away = np.abs(mean[match] - mean[match].mean(axis=0))
            moved[:, k] += np.quantile(away, q=quantile, axis=0)
        moved[:, k] /= len(values)
    scores = (1.0 - moved / largest[:, None]).max(axis=1)
    return np.average(scores, weights=largest)


def test_irs_is_that_of_disentanglement_lib_given_classes():
    codes = hand_made.overlapping()
    expected = irs_as_published(codes.grid.labels_array(), codes.mean.numpy(), 0.99)
    assert irs(codes).value == pytest.approx(expected)
    assert irs(hand_made.perfect()).value == pytest.approx(1.0)


def test_binned_irs_is_that_of_disentanglement_lib_given_bins_of_class_numbers():
    codes = hand_made.codes(hand_made.factor_columns((33, 7)), sizes=(33, 7))
    labels = codes.grid.labels_array()
    binned = [np.digitize(column, np.histogram(column, 20)[1][:-1]) for column in labels.T]
    expected = irs_as_published(np.stack(binned, axis=1), codes.mean.numpy(), 0.99)
    assert expected < 0.99 < irs(codes).value
    assert binned_irs(codes).value == pytest.approx(expected)
    partial = labels.copy()
    partial[::3, 0] = -1
    known = np.flatnonzero(partial[:, 0] >= 0)
    grid = FactorGrid(("a", "b"), (33, 7), labels=partial)
    some = codes.take(torch.from_numpy(known))
    found = binned_irs(Codes(codes.mean, None, grid), ["a"]).value
    of_known = irs_as_published(np.stack(binned, 1)[known][:, :1], some.mean.numpy(), 0.99)
    assert found == pytest.approx(of_known, abs=0.02)


def modularity_as_published(mutual):
    squares = np.square(mutual)
    largest = np.max(squares, axis=1)
    others = np.sum(squares, axis=1) - largest
    return np.mean(1 - others / (largest * (squares.shape[1] - 1.0)))


def test_modularity_is_that_of_disentanglement_lib():
    codes = hand_made.overlapping()
    binned = [np.digitize(m, np.histogram(m, 20)[1][:-1]) for m in codes.mean.numpy().T]
    labels = codes.grid.labels_array().T
    mutual = np.array([[mutual_info_score(v, z) for v in labels] for z in binned])
    assert modularity(codes).value == pytest.approx(modularity_as_published(mutual))


def test_modularity_of_pruned_latents_is_zero_and_does_not_weigh_in_the_active_mean():
    found = modularity(hand_made.perfect())
    assert found.value == pytest.approx(3 / 5)
    assert found.terms["active"] == pytest.approx(1.0)


def test_med_and_its_top_latents():
    assert med(hand_made.perfect()).value == pytest.approx(1.0)
    both = med(hand_made.duplicated())
    assert both.value == pytest.approx(1.0)
    assert both.terms["completeness"] == pytest.approx(1 - math.log(2) / math.log(6))
    entangled = hand_made.entangled()
    noise = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).double()
    wide = Codes(
        torch.cat([hand_made.perfect().mean[:, :3], 9 * noise], dim=1), None, entangled.grid
    )
    assert med(wide, top=1).value == pytest.approx(1.0)
    assert med(wide).value < 0.9


def test_splits_are_disjoint_seeded_and_of_labelled_images():
    codes = hand_made.unbalanced()
    codes = Codes(torch.arange(200.0)[:, None], None, codes.grid)
    factor = codes.factor("a")
    parts = split(codes, factor, 100, 50, seed=0)
    rows = np.concatenate([parts.train_x, parts.test_x])[:, 0].astype(int)
    assert len(set(rows)) == 150
    assert set(rows) <= set(factor.known.tolist())
    np.testing.assert_array_equal(
        np.concatenate([parts.train_y, parts.test_y]), factor.labels[rows]
    )
    small = split(codes, factor, 10_000, 5_000, seed=0)
    assert len(small.train_y) + len(small.test_y) == len(factor.known)
    assert len(small.train_y) == pytest.approx(2 * len(small.test_y), abs=2)


def test_unknown_predictors_are_refused():
    with pytest.raises(ValueError, match="boosting_exact"):
        dci(perfect(), predictor="oracle")
    with pytest.raises(ValueError, match="twice as many"):
        few_label_accuracy(hand_made.perfect())
    with pytest.raises(ValueError, match="two or more"):
        beta_vae_metric(perfect(), factors=["a"])


def test_boosting_splits_few_images_too():
    few = hand_made.perfect()  # 60 images, 40 of them to train
    assert dci(few).value == pytest.approx(1, abs=0.05)
