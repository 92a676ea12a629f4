"""Parameters of scores that no score can follow: what must hold, what was given, what to do."""

import math

import numpy as np
import pytest
import torch

from isavae.data import FactorGrid
from isavae.metrics import (
    Codes,
    NotApplicable,
    binned_irs,
    binned_mig,
    completeness,
    dci,
    disentanglement,
    evaluate,
    explicitness,
    few_label_accuracy,
    irs,
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
    "score", [binned_mig, binned_irs, robust_mig, jemmig, modularity, latent_mutual_information]
)
@pytest.mark.parametrize("bins", [1, 0, -3])
def test_bins_are_two_or_more(score, bins):
    with pytest.raises(ValueError, match=f"`bins` must be 2 or more, but is {bins}: 20 and 100"):
        score(CODES, bins=bins)


@pytest.mark.parametrize("score", [irs, binned_irs])
@pytest.mark.parametrize("quantile", [-0.1, 1.5, math.nan])
def test_quantiles_are_shares(score, quantile):
    with pytest.raises(ValueError, match=f"between 0 and 1, but is {quantile}: 0.99"):
        score(CODES, quantile=quantile)


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


@pytest.mark.parametrize(
    ("mean", "log_std", "message"),
    [
        (math.nan, 0.0, "`mean` is not in row 3"),
        (-math.inf, 0.0, "`mean` is not in row 3"),
        (0.0, math.nan, "`log_std` is not in row 3"),
        (1e19, 0.0, r"`mean` must be within ±1e\+18"),
        (-1e19, 0.0, r"`mean` must be within ±1e\+18"),
        (0.0, -120.0, "`log_std` must be within ±80"),
        (0.0, 800.0, "`log_std` must be within ±80"),
    ],
)
def test_codes_that_scores_cannot_follow_are_refused(mean, log_std, message):
    """With a log-std of -120 robust_mig was NaN, with 800 mig refused and the others scored."""
    means, log_stds = torch.zeros(5, 2), torch.zeros(5, 2)
    means[3, 1], log_stds[3, 0] = mean, log_std
    with pytest.raises(ValueError, match=message):
        Codes(means, log_stds)


@pytest.mark.parametrize("mean", [1e17, -1e17, 1e-30])
@pytest.mark.parametrize("log_std", [-79.0, 79.0])
def test_every_score_of_codes_in_range_is_a_number(mean, log_std):
    codes = Codes(mean * CODES.mean.float(), torch.full_like(CODES.mean, log_std), CODES.grid)
    for name in ("robust_mig", "jemmig", "binned_mig", "modularity", "irs", "active_units"):
        table = evaluate(codes, name)
        assert math.isfinite(table[name].value), name
        assert all(map(math.isfinite, table[name].terms.values())), name


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_importances_without_a_number_have_no_disentanglement(wrong):
    matrix = torch.eye(3)
    matrix[0, 1] = wrong
    for score in (disentanglement, completeness):
        with pytest.raises(ValueError, match="Importances must be finite and 0 or more"):
            score(matrix)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_says_so(value):
    def mine(codes):
        return value

    table = evaluate(CODES, mine)
    note = f"the score of these codes is {value}, no finite number"
    assert table["mine"].parameters["note"] == note
    assert str(table).endswith(f"({note})")
    assert table.to_dict()["mine"]["parameters"] == {"note": note}
    line = torch.arange(9.0)[:, None]
    linear = evaluate(Codes(torch.cat([line, 2 * line], 1)), "gaussian_total_correlation")
    assert "inf (a latent is a linear function of the others)" in str(linear)


def test_whole_numbers_keep_their_digits():
    assert Codes(torch.tensor([[1 << 24], [1 + (1 << 24)]])).mean.tolist() == [[2**24], [2**24 + 1]]
    assert Codes(torch.tensor([[1], [2]])).mean.dtype == torch.float32


@pytest.mark.parametrize("values", [np.zeros(4, complex), [2**70, 1, 2, 3], [1.0, math.inf, 2, 3]])
def test_factor_values_that_have_no_order_are_refused(values):
    with pytest.raises(ValueError, match="factor 'a'"):
        Codes(torch.zeros(4, 1), factors={"a": values})
    with pytest.raises(ValueError, match="Categories of factor 'a' must be finite"):
        FactorGrid(("a",), (2,), categories={"a": (1.0, math.nan)})


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
