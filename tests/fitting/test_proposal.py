"""What is proposed for images, from the images alone."""

import numpy as np
import pytest

from isavae.data import Preprocessing
from isavae.data.pixel_statistics import measure_pixels
from isavae.fitting import TrainingImages, propose
from isavae.fitting.proposal import Budget, schedule
from isavae.models import BetaTCVAE
from isavae.studies import RunEstimate, Study, StudyEstimate

PLANTED = [0.12, 0.08, 0.05]  # standard deviations along directions of unit length per pixel


def drawn(n=400, size=16, deviations=PLANTED, noise=0.0, channels=1):
    """Grey images that differ in a few smooth directions, and by noise: uint8."""
    rng = np.random.default_rng(0)
    x = np.arange(size) * np.pi / size
    waves = np.stack([np.sqrt(2) * np.cos((k + 1) * (x + 0.5 * np.pi / size)) for k in range(4)])
    codes = rng.normal(size=(n, len(deviations))) * deviations
    images = 0.5 + np.repeat(codes @ waves[: len(deviations)], size, axis=0).reshape(n, size, size)
    images = images + rng.normal(size=images.shape) * noise
    pixels = np.rint(images.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(pixels[:, None], channels, axis=1)


def training_images(images):
    names = tuple(f"{row}.png" for row in range(len(images)))
    sizes = tuple((20, 16 + row % 2) for row in range(len(images)))
    preprocessing = Preprocessing(images.shape[2:], channels=images.shape[1])
    return TrainingImages(names, images, {}, sizes, preprocessing, "x")


def test_inspection_finds_what_was_planted():
    statistics = measure_pixels(drawn(4000, noise=0.04))
    planted = 256 * np.square(PLANTED)
    np.testing.assert_allclose(statistics.variances[:3], planted, rtol=0.15)
    assert statistics.variances[3] < 0.1 * planted[2]


@pytest.mark.parametrize("n", [20, 900])
def test_the_spectrum_is_that_of_the_covariance(n):
    images = drawn(n, noise=0.1)
    rows = images.reshape(n, -1) / 255
    expected = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    found = measure_pixels(images).variances
    assert len(found) == min(n, 256)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-5)


def of(images, **given):
    proposal = propose(training_images(images), **given)
    return proposal.config | {"beta": proposal.beta}, " ".join(proposal.reasons)


def test_pixels_are_calibrated_and_blurred_at_first_by_an_eighth_of_their_side():
    settings, said = of(drawn())
    assert settings["likelihood"] == "gaussian-calibrated"
    assert settings["blur"] == 2
    assert "the variance of the error of reconstructions" in said


def test_subspaces_follow_the_directions_in_which_images_differ():
    settings, said = of(drawn())
    assert settings["prior"] == "6[6*2, 6*2]"
    assert "90% of the variance between images lies in 3 directions" in said
    assert of(drawn(deviations=[0.1]))[0]["prior"] == "6[6*2, 6*2]"
    many, said = of(drawn(noise=0.2))
    assert many["prior"].count("6*2") == 5
    assert "at most 10 latents" in said


@pytest.mark.parametrize("size", [16, 32])
def test_beta_grows_with_the_pixels_of_an_image(size):
    settings, said = of(drawn(size=size, channels=3))
    assert settings["beta"] == tuple(size**2 / share for share in (256, 64, 32))
    assert f"for {size**2:,} pixels" in said


def test_the_total_correlation_counts_five_times_as_much():
    proposal = propose(training_images(drawn()), beta=(5.0,), seeds=2)
    runs = Study.parse(proposal.study("x.npy")).runs
    assert [run.config.seed for run in runs] == [0, 1]
    assert {run.config.objective for run in runs} == {BetaTCVAE(25.0, 5.0, 5.0)}


def test_a_smaller_beta_falls_from_a_64th_of_the_pixels():
    """16 x 16 pixels: from 4."""
    proposal = propose(training_images(drawn()), beta=(0.25, 4.0), seeds=2)
    assert "smaller ones than 4 fall from it" in "\n".join(proposal.reasons)
    falling, steady = (
        run.config.objective
        for run in Study.parse(proposal.with_steps(1000, "").study("x.npy")).runs[::2]
    )
    assert steady == BetaTCVAE(20.0, 4.0, 4.0)
    assert (falling.beta, falling.alpha, falling.scheduled) == (1.25, 0.25, "all")
    factors = {200: 16.0, 325: 8.0, 450: 4.0, 575: 2.0, 700: 1.0}
    assert {step: falling.factor(step) for step in factors} == pytest.approx(factors)
    assert (falling.factor(0), falling.factor(1000)) == (16.0, 1.0)
    given = propose(training_images(drawn()), likelihood="bernoulli", beta=(0.25,))
    assert "fall" not in "\n".join(given.reasons)


def test_what_is_given_is_kept():
    settings, said = of(
        drawn(), prior="3*4", likelihood="gaussian(0.3)", beta=(2.0,), learn_exponents=True
    )
    assert (settings["prior"], settings["likelihood"]) == ("3*4", "gaussian(0.3)")
    assert settings["beta"] == (2.0,)
    assert settings["learn_exponents"]
    assert said.count("as given") == 3
    assert of(drawn(), likelihood="bernoulli")[0]["beta"] == (1.0, 4.0)
    with pytest.raises(ValueError, match="at least two"):
        of(drawn(), seeds=1)
    with pytest.raises(ValueError, match="tree"):
        of(drawn(), prior="normal", learn_exponents=True)


def test_images_are_described_as_they_are():
    _, said = of(drawn(64, channels=3))
    assert "64 images, 20 wide and 16 to 17 high, become 16 × 16 in colour." in said
    assert "64 images are few" in said
    assert of(drawn(30))[0]["batch_size"] == 30


def foreseen(configs, *, workers, images):
    run = RunEstimate(steps=1, step_seconds=0.01, other_seconds=3.0, weights_bytes=0)
    return StudyEstimate((run,) * len(configs), workers)


def test_the_length_is_what_the_budget_allows(monkeypatch):
    """Eight runs, two at a time: four after each other, each 3 s and 10 ms a step."""
    monkeypatch.setattr("isavae.fitting.proposal.plan", foreseen)
    proposal = propose(training_images(drawn()), beta=(1.0, 4.0))
    scheduled = schedule(proposal, "images.npy", Budget(200.0, 2))
    assert scheduled.config["steps"] == int((170 - 4 * 3) / 4 / 0.01)
    assert "8 runs of 3,950 steps: about 2.8 minutes, 2 at a time" in scheduled.reasons[-1]
    assert "10.0 ms" in scheduled.reasons[-1]
    assert schedule(proposal, "x.npy", Budget(1.0, 2)).config["steps"] == 2000
    assert schedule(proposal, "x.npy", Budget(1e6, 2)).config["steps"] == 20_000
    assert schedule(proposal, "x.npy", Budget(1.0, 2, 7)).config["steps"] == 7


def test_runs_that_take_longer_than_the_budget_are_announced(monkeypatch):
    """Two runs at a time, each 3 s and 20 s, or 100 s, of steps."""
    monkeypatch.setattr("isavae.fitting.proposal.plan", foreseen)
    proposal = propose(training_images(drawn()), beta=(1.0,), seeds=2)

    def said(budget, steps=None):
        return schedule(proposal, "x.npy", Budget(budget, 2, steps)).reasons[-1]

    assert "budget" not in said(24.0)
    assert "The budget of 0.367 minutes ends before that, and a model is chosen only" in said(22.0)
    assert "give --budget 1m, or resume it by the same command" in said(22.0)
    assert "give --budget 3m, or" in said(60.0, steps=10_000)
    assert "budget" not in said(180.0, steps=10_000)
    proposal = propose(training_images(drawn()), beta=(1.0,), seeds=4)
    assert "budget" not in said(50.0)
    assert "before that: what has finished by then is used" in said(40.0)
    assert "--budget 1m is enough for all." in said(40.0)
    assert "chosen only when two runs" in said(20.0)


def test_a_short_budget_takes_one_beta_then_two_seeds_of_what_was_not_given(monkeypatch):
    """Twelve runs of 2,000 steps take 138 s, four 46 s, two 23 s; 85 % of a budget is theirs."""
    monkeypatch.setattr("isavae.fitting.proposal.plan", foreseen)
    proposal = propose(training_images(drawn()))

    def within(seconds, proposal=proposal, steps=None):
        found = schedule(proposal, "x.npy", Budget(seconds, 2, steps))
        return len(found.beta) * found.seeds, " ".join(found.reasons)

    assert within(139 / 0.85)[0] == 12
    assert within(137 / 0.85)[0] == 4
    assert within(47 / 0.85)[0] == 4
    runs, said = within(45 / 0.85)
    assert runs == 2
    assert "The budget is short: only β = 4, 2 seeds each." in said
    assert within(137 / 0.85, steps=100)[0] == 12
    both = propose(training_images(drawn()), beta=(1.0, 4.0), seeds=3)
    assert within(1.0, both)[0] == 6
    assert "short" not in within(1.0, both)[1]
    assert within(1.0, propose(training_images(drawn()), beta=(1.0, 4.0)))[0] == 4
