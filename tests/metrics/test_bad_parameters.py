"""Parameters of scores that no score can follow: what must hold, what was given, what to do."""

import math

import numpy as np
import pytest
import torch

from isavae.metrics import (
    NotApplicable,
    binned_mig,
    dci,
    evaluate,
    explicitness,
    few_label_accuracy,
    jemmig,
    latent_mutual_information,
    modularity,
    robust_mig,
    sap,
    spearman,
)
from tests import hand_made

CODES = hand_made.perfect()


@pytest.mark.parametrize(
    "score", [binned_mig, robust_mig, jemmig, modularity, latent_mutual_information]
)
@pytest.mark.parametrize("bins", [1, 0, -3])
def test_bins_are_two_or_more(score, bins):
    with pytest.raises(ValueError, match=f"`bins` must be 2 or more .*, but is {bins}: 20 and 100"):
        score(CODES, bins=bins)


@pytest.mark.parametrize("score", [robust_mig, jemmig])
@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_limits_are_positive_and_finite(score, limit):
    with pytest.raises(ValueError, match=f"positive and finite, but is {limit}: 4"):
        score(CODES, limit=limit)


@pytest.mark.parametrize("score", [sap, dci, explicitness])
@pytest.mark.parametrize("sizes", [{"train": 0}, {"train": -5}, {"test": 0}, {"test": -1}])
def test_splits_have_images_in_both_parts(score, sizes):
    with pytest.raises(ValueError, match=r"one or more train and test images, not .*: leave"):
        score(CODES, **sizes)


@pytest.mark.parametrize(
    "parameters",
    [{"labels": ()}, {"labels": (0,)}, {"labels": (9, -5)}, {"repeats": 0}, {"test": -1}],
)
def test_numbers_of_labels_are_positive(parameters):
    with pytest.raises(ValueError, match=r"must be 1 or more, not .*: leave"):
        few_label_accuracy(CODES, **{"labels": (9,), "repeats": 2, **parameters})


def test_explained_variance_needs_two_classes_among_the_test_images():
    with pytest.raises(NotApplicable, match="show one: raise `test`"):
        dci(CODES, predictor="lasso", test=1)


@pytest.mark.parametrize("parameters", [{"repeats": 0}, {"seed": -1}])
def test_repeats_and_seeds_are_checked_before_any_score(parameters):
    with pytest.raises(ValueError, match=r"1 or more and `seed` 0 or more, but are .*: leave"):
        evaluate(CODES, "irs", **parameters)


@pytest.mark.parametrize("result", [None, "high", torch.zeros(2)])
def test_functions_return_one_number(result):
    def mine(codes):
        return result

    with pytest.raises(ValueError, match=r"one number, but .*\.mine returned .*: take its mean"):
        evaluate(CODES, mine)


@pytest.mark.filterwarnings("error")
def test_rank_correlations_of_odd_columns():
    x = torch.tensor([[1.0, 5.0, 0.0], [2.0, 5.0, -0.0], [3.0, 5.0, torch.nan]]).requires_grad_()
    y = torch.tensor([[10.0], [20.0], [15.0]])
    np.testing.assert_allclose(spearman(x, y)[:2, 0], [0.5, 0.0])
    assert spearman(x, y)[2, 0].isnan()
    for images in (0, 1):
        assert torch.equal(spearman(x[:images], y[:images]), torch.zeros(3, 1).double())
    assert float(spearman(y, y)) <= 1.0
