"""Maximum likelihood recovers what was planted, with errors that mean what they say."""

import math

import pytest
import torch
from scipy import stats

from isavae.distributions import (
    LpNested,
    LpTree,
    compare_trees,
    fit_lp_nested,
    likelihood_ratio_p_value,
)

pytestmark = pytest.mark.system

PLANTED = LpTree.parse("2[1*2, 4*2, z]")
SCALE = torch.tensor(1.5, dtype=torch.float64)


@pytest.fixture(scope="module")
def fits():
    torch.manual_seed(0)
    return [fit_lp_nested(LpNested(PLANTED, SCALE).sample((1_000,)), PLANTED) for _ in range(20)]


def test_recovers_planted_parameters_with_honest_errors(fits):
    """Errors over 20 data sets: the standardised ones have mean 0 and variance 1 (z-limit 4)."""
    exponents = torch.stack([f.distribution.exponents for f in fits])
    errors = torch.stack([f.exponent_errors for f in fits])
    scores = (exponents - torch.tensor(PLANTED.exponents)) / errors
    scale_scores = torch.tensor([(float(f.distribution.scale) - 1.5) / f.scale_error for f in fits])
    scores = torch.cat([scores, scale_scores[:, None].double()], 1)
    assert (scores.mean(0).abs() < 4 / len(fits) ** 0.5).all()
    spread = stats.chi2(len(fits) - 1).ppf([1e-5, 1 - 1e-5]) / (len(fits) - 1)
    assert ((scores.var(0) > spread[0]) & (scores.var(0) < spread[1])).all()


def test_maximum_beats_the_truth(fits):
    torch.manual_seed(0)
    z = LpNested(PLANTED, SCALE).sample((1_000,))
    assert fits[0].log_likelihood >= float(LpNested(PLANTED, SCALE).log_prob(z).sum())


def test_normal_fit_is_the_closed_form():
    z = 3 * torch.randn(1_000, 2, dtype=torch.float64)
    fit = fit_lp_nested(z, "2*2", fixed=[0])
    variance = float((z**2).mean())
    expected = stats.norm(scale=variance**0.5).logpdf(z.numpy()).sum()
    assert float(fit.distribution.scale) == pytest.approx(2 * variance)
    assert fit.log_likelihood == pytest.approx(expected)
    assert fit.scale_error == pytest.approx(2 * variance / 1_000**0.5, rel=1e-6)
    assert fit.exponent_errors.isnan().all()


def test_comparison_prefers_the_planted_tree():
    torch.manual_seed(1)
    z = LpNested(PLANTED, SCALE).sample((2_000,))
    best, *others = compare_trees(z, ["2*5", "2[2*3, 2*2]", PLANTED])
    assert best.fit.distribution.tree == PLANTED
    assert best.nats_behind == 0
    assert all(other.nats_behind > 3 * other.standard_error for other in others)
    assert all(other.fit.bic > best.fit.bic for other in others)


def test_criteria_are_their_formulas():
    """Schwarz's criterion, and Vuong's standard error from the differences of each sample."""
    torch.manual_seed(1)
    z = LpNested(PLANTED, SCALE).sample((500,))
    best, other = compare_trees(z, ["2*5", PLANTED])
    size, fit = len(z), best.fit
    assert fit.n_parameters == 4
    assert fit.bic == pytest.approx(2 * math.log(size) - fit.log_likelihood)
    differences = stats.describe((fit.log_likelihoods - other.fit.log_likelihoods).numpy())
    assert other.nats_behind == pytest.approx(size * differences.mean)
    assert other.standard_error == pytest.approx((size * differences.variance) ** 0.5)


def test_an_exponent_over_a_single_child_is_left_alone():
    torch.manual_seed(4)
    fit = fit_lp_nested(torch.randn(300, 3), "2[3*1, 2*2]")
    assert float(fit.distribution.exponents[1]) == 3
    assert fit.exponent_errors.isnan().tolist() == [False, True, False]
    assert fit.n_parameters == 3


def test_likelihood_ratio_needs_the_same_samples():
    z = torch.randn(301, 4)
    restricted, general = fit_lp_nested(z, "2*4", fixed=[0]), fit_lp_nested(z[:300], "2*4")
    with pytest.raises(ValueError, match="300 for 301 samples"):
        likelihood_ratio_p_value(restricted, general)


def test_likelihood_ratio_has_its_level():
    """p-values of a true restriction are uniform."""
    torch.manual_seed(2)
    p_values = []
    for _ in range(25):
        z = torch.randn(300, 4)
        restricted, general = fit_lp_nested(z, "2*4", fixed=[0]), fit_lp_nested(z, "2*4")
        p_values.append(likelihood_ratio_p_value(restricted, general))
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4
    with pytest.raises(ValueError, match="more parameters"):
        likelihood_ratio_p_value(general, restricted)


def test_a_sample_at_zero_does_not_stop_the_search():
    torch.manual_seed(3)
    z = LpNested(PLANTED, SCALE).sample((1_000,))
    z[::100] = 0
    exponents = fit_lp_nested(z, PLANTED).distribution.exponents
    assert exponents.isfinite().all()
    assert (exponents / torch.tensor(PLANTED.exponents) - 1).abs().max() < 0.4


@pytest.mark.parametrize("tree", ["2*4", "2[2*2, 2*2]"])
def test_many_exact_zeros_leave_the_likelihood_without_a_maximum(tree):
    torch.manual_seed(0)
    z = torch.randn(1_000, 4, dtype=torch.float64)
    z[torch.rand_like(z) < 0.3] = 0
    zeros = int((z == 0).any(1).sum())
    with pytest.raises(ValueError, match=f"which {zeros} of 1000 samples hold"):
        fit_lp_nested(z, tree)


def test_a_start_below_the_smallest_exponent_is_refused_as_such():
    torch.manual_seed(0)
    z = LpNested("2[1*2, 1*2]").sample((300,))
    with pytest.raises(ValueError, match=r"start from 0\.01 or more, but one of .* is 0\.005"):
        fit_lp_nested(z, "2[0.005*2, 1*2]")
    assert fit_lp_nested(z, "2[0.01*2, 1*2]").distribution.exponents[1] > 0.5


def test_samples_over_too_many_orders_of_magnitude_are_refused_as_such():
    torch.manual_seed(0)
    z = (30 * torch.randn(500, 2).double()).exp()
    with pytest.raises(ValueError, match="span too many orders of magnitude: take their log"):
        fit_lp_nested(z, "2*2")


def test_errors_follow_the_scale_of_the_samples():
    """s grows with the p0-th power of the unit; the exponents' errors do not depend on it."""
    torch.manual_seed(4)
    z = LpNested("1.5*2").sample((400,)).double()
    plain = fit_lp_nested(z, "2*2")
    for unit in (1e30, 1e-30):
        found = fit_lp_nested(unit * z, "2*2")
        torch.testing.assert_close(found.exponent_errors, plain.exponent_errors, rtol=1e-4, atol=0)
        # The scale's relative error is now that of unit^p0.
        spread = float(plain.exponent_errors[0]) * abs(math.log(unit))
        relative = found.scale_error / float(found.distribution.scale)
        assert relative == pytest.approx(spread, rel=0.05)
