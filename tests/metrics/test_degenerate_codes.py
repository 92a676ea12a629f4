"""What scores say of latents, images and classes that leave them little or nothing to measure."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from isavae import metrics
from isavae.data import FactorGrid
from isavae.distributions import UnresolvedMixtureError
from isavae.distributions.mixtures import entropies
from isavae.metrics import (
    METRICS,
    Codes,
    NotApplicable,
    dci_mig,
    elbo_decomposition,
    evaluate,
    explicitness,
    gaussian_total_correlation,
    jemmig,
    latent_information,
    latent_mutual_information,
    med,
    mig,
    modularity,
    robust_mig,
    sap,
)
from tests import hand_made


def with_extra(codes: Codes, mean: torch.Tensor, log_std: float) -> Codes:
    means = torch.cat([codes.mean, mean], dim=1)
    stds = torch.cat([codes.log_std, torch.full_like(mean, log_std)], dim=1)
    return Codes(means, stds, codes.grid)


@pytest.mark.parametrize("sizes", [(2, 6), (3, 7), (5, 6), (4, 4)])
def test_constant_latents_carry_no_information_at_all(sizes):
    """Binned entropies of one bin differ by a rounding, 1e-16 nats, for most of these sizes."""
    first = hand_made.factor_columns(sizes)[:, :1]
    constant = torch.full((len(first), 9), 0.3, dtype=torch.float64)
    codes = hand_made.codes(torch.cat([first, constant], dim=1), sizes=sizes)
    assert modularity(codes).value == pytest.approx(0.1)
    assert modularity(codes).terms["active"] == pytest.approx(1.0)
    dead = hand_made.codes(constant, sizes=sizes)
    assert modularity(dead).value == med(dead).value == med(dead).terms["completeness"] == 0
    assert latent_mutual_information(dead).value == 0


@pytest.mark.parametrize("constant", [0.3, -1 / 3, 1e8])
@pytest.mark.parametrize("sizes", [(2, 6), (3, 7), (4, 5, 6)])
def test_constant_codes_score_nothing(sizes, constant):
    """The variance of equal numbers is not 0 by rounding, for most of these sizes and constants."""
    codes = hand_made.codes(
        torch.full((math.prod(sizes), 3), constant, dtype=torch.float64), sizes=sizes
    )
    # What guesses is right by chance, and joint entropies count H(z | v) of a constant as small.
    chance = {"jemmig", "beta_vae_metric"}
    table = evaluate(codes, "all", subspaces=[[0], [1, 2]], others=[codes])
    for row in table:
        expected = 0.5 if row.name == "explicitness" else 0
        assert row.name in chance or row.score.value == pytest.approx(expected, abs=1e-9), row.name


# Scores that average over latents, or weigh all of them, and say so.
DEPENDS_ON_DEAD = {"modularity": 3 / 8, "elbo_decomposition": None}


@pytest.mark.parametrize("log_std", [hand_made.SMALL_STD, 0.0], ids=["constant", "pruned"])
def test_dead_latents_change_no_other_score(log_std):
    codes = hand_made.codes(hand_made.factor_columns())
    dead = torch.zeros(len(codes), 5, dtype=torch.float64)
    given = {"prior": Normal(0.0, 1.0), "others": [hand_made.perfect()]}
    before = evaluate(codes, "all", subspaces=[[0], [1], [2]], **given)
    after = evaluate(
        with_extra(codes, dead, log_std), "all", subspaces=[[0], [1], [2], [3, 4, 5, 6, 7]], **given
    )
    assert len(after) == len(METRICS) - 1
    for row in after:
        if row.name in DEPENDS_ON_DEAD:
            expected = DEPENDS_ON_DEAD[row.name] or row.score.value
        else:
            expected = before[row.name].value
        # A dead latent guesses one class, which may beat what another factor's latent predicts.
        tolerance = 0.05 if row.name == "sap" else 1e-3
        assert row.score.value == pytest.approx(expected, abs=tolerance), row.name


@pytest.mark.parametrize("score", [mig, robust_mig, dci_mig, jemmig])
def test_one_latent_that_carries_one_factor_scores_half(score):
    """1/2 = the mean of 1 for the factor that it carries and of 0 for the other one."""
    first = hand_made.factor_columns((5, 5))[:, :1] + 0.02  # in the middle of bins of [-4, 4]
    found = score(hand_made.codes(first, sizes=(5, 5)))
    # H(z, v) of the factor that is carried is H(v); that of the other one is log 25.
    bins = math.log(100)
    both = [1, 1 - math.log(25) / (math.log(5) + bins)]
    expected = np.mean(both) if score is jemmig else 0.5
    assert found.value == pytest.approx(expected, abs=2e-3)


def test_means_that_are_linear_functions_of_others_have_infinite_total_correlation():
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    line = z @ torch.tensor([[0.3], [1.7]]).double()
    assert gaussian_total_correlation(Codes(torch.cat([z, line], dim=1))).value == math.inf
    perfect = gaussian_total_correlation(hand_made.codes(hand_made.factor_columns())).value
    assert 0 <= perfect < 1e-12
    two_images = Codes(torch.randn(2, 3, generator=torch.Generator().manual_seed(1)))
    assert gaussian_total_correlation(two_images).value == math.inf
    nearly = torch.cat([z, line + 1e-5 * z[:, :1].roll(1, 0)], dim=1)
    expected = -0.5 * np.linalg.slogdet(np.corrcoef(nearly.numpy().T))[1]
    assert gaussian_total_correlation(Codes(nearly)).value == pytest.approx(expected, rel=1e-3)


def test_one_image_has_no_spread_to_score():
    codes = Codes(torch.ones(1, 3), torch.zeros(1, 3))
    table = evaluate(codes, "all", prior=Normal(0.0, 1.0), others=[codes])
    assert {row.name for row in table} == {"elbo_decomposition"}
    kl = 3 * 0.5
    assert table["elbo_decomposition"].value == pytest.approx(
        kl, abs=6 * table["elbo_decomposition"].standard_error
    )
    for name in ("active_units", "latent_mutual_information", "udr", "agreement"):
        assert "two or more images" in table.skipped[name]


def rare_class(rare: int) -> Codes:
    """Twenty-one images, one factor, whose second class occurs in one of them only."""
    labels = np.zeros((21, 1), dtype=np.int64)
    labels[rare] = 1
    mean = torch.arange(21.0)[:, None]
    return Codes(mean, torch.zeros_like(mean), FactorGrid(("v",), (2,), labels=labels))


def position_of_the_first_test_image() -> int:
    return int(np.random.default_rng(0).permutation(21)[14])


def test_a_class_that_no_train_image_shows():
    """A predictor of one class is right about six of seven test images, whatever the latent."""
    codes = rare_class(position_of_the_first_test_image())
    assert sap(codes).value == pytest.approx(6 / 7)  # a missing second latent counts as zero
    twice = Codes(codes.mean.repeat(1, 2), None, codes.grid)
    assert sap(twice).value == 0
    assert explicitness(codes).value == 0.5
    for predictor in ("boosting", "boosting_exact", "forest", "lasso"):
        found = metrics.dci(codes, predictor=predictor)
        assert found.value == 0
        assert found.terms["informativeness"] == pytest.approx(6 / 7)


def test_a_class_that_no_test_image_shows_leaves_no_curve_to_measure():
    train_image = int(np.random.default_rng(0).permutation(21)[0])
    with pytest.raises(NotApplicable, match="those of v show one"):
        explicitness(rare_class(train_image))
    assert "explicitness" in evaluate(rare_class(train_image), "supervised").skipped


def dense_and_narrow(images: int, std: float) -> Codes:
    """Means that fill (0, 1), half of them per class, with posteriors of one narrow std."""
    mean = torch.linspace(0, 1, images, dtype=torch.float64)[:, None]
    grid = FactorGrid(("half",), (2,), labels=(mean > 0.5).long().numpy())
    return Codes(mean, torch.full_like(mean, math.log(std)), grid)


def test_posteriors_are_widened_as_far_as_entropies_need_and_the_score_says_so(monkeypatch):
    monkeypatch.setattr(entropies, "_FINEST", 1 << 12)
    codes = dense_and_narrow(3_000, 1e-4)
    found = mig(codes)
    assert found.value == pytest.approx(1.0, abs=2e-3)
    std = found.parameters["least_stds"]["latent_0"]
    assert std == pytest.approx(1 / 2**11, rel=2e-3)
    # Normals of this std all over (0, 1) are a uniform distribution, whose entropy is 0.
    expected = -math.log(std * math.sqrt(2 * math.pi * math.e))
    assert float(latent_information(codes)[0]) == pytest.approx(expected, abs=5e-3)
    parts = elbo_decomposition(codes, Normal(torch.zeros(1), 1.0), samples=64)
    assert parts.parameters["least_stds"] == found.parameters["least_stds"]
    resolved = Codes(codes.mean, torch.full_like(codes.mean, -7.0), codes.grid)
    assert "least_stds" not in mig(resolved).parameters


@pytest.mark.slow
def test_three_hundred_thousand_dense_narrow_posteriors_have_a_mig():
    found = mig(dense_and_narrow(300_000, 1e-6))
    assert found.value == pytest.approx(1.0, abs=1e-4)
    assert found.parameters["least_stds"] == {"latent_0": pytest.approx(2**-18, rel=1e-3)}


def test_one_score_beyond_the_limits_does_not_stop_the_others(monkeypatch):
    def beyond(codes):
        raise UnresolvedMixtureError("posteriors of incomparable widths")

    monkeypatch.setitem(METRICS, "mig", replace(METRICS["mig"], function=beyond))
    table = evaluate(hand_made.perfect(), ["mig", "active_units"])
    assert table["active_units"].value == 3
    assert dict(table.skipped) == {"mig": "posteriors of incomparable widths"}
    with pytest.raises(KeyError, match="incomparable widths"):
        table["mig"]
