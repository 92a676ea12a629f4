"""A model on a data set: its estimates against scipy and closed forms, its subsets, its sweeps."""

import numpy as np
import pytest
import scipy.stats
import torch

from isavae.cli.evaluation import show
from isavae.data import ImageDataset, load
from isavae.data.factor_values import grid_of_values
from isavae.evaluation import decode_traversals, encode_all, evaluate, likelihood_terms
from isavae.runs import RunConfig, build_model

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
SETTINGS = {"data": DATA, "prior": "normal", "n_latents": 3, "width": 16, "precision": "float32"}


@pytest.fixture(scope="module")
def data():
    return load(DATA)


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    model = build_model(RunConfig.parse(SETTINGS), data.shape)
    with torch.no_grad():  # so that images differ in their posteriors and codes in their images
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


def test_estimates_are_those_of_closed_form_and_of_many_samples(model, data):
    found = likelihood_terms(model, data, seed=3)
    codes = encode_all(model, data)
    mean, std = codes.mean.double().numpy(), codes.log_std.double().exp().numpy()
    kl = (0.5 * (mean**2 + std**2 - 1) - np.log(std)).sum(1).mean()
    assert found["kl"].value == pytest.approx(kl, abs=5 * found["kl"].standard_error)

    random, values = np.random.default_rng(0), []
    pixels = data.batch(range(len(data))).flatten(1).numpy()
    for _ in range(20):
        z = torch.from_numpy(random.normal(mean, std)).float()
        with torch.no_grad():
            shares = model.decode(z).mean.flatten(1).double().numpy()
        values.append(scipy.stats.bernoulli.logpmf(pixels, shares).sum(1).mean())
    error = found["reconstruction"].standard_error
    assert found["reconstruction"].value == pytest.approx(np.mean(values), abs=5 * error)
    assert found["reconstruction"].n_images == len(data)


def test_standard_errors_shrink_with_the_images(model, data):
    few, all_ = (likelihood_terms(model, data, n)["reconstruction"] for n in (64, None))
    assert few.n_images == 64
    assert few.standard_error / all_.standard_error == pytest.approx(4, rel=0.4)


def test_a_subset_is_named_and_does_not_depend_on_the_state_of_chance(model, data):
    codes = encode_all(model, data)
    before = torch.get_rng_state()
    scores = evaluate(model, data, codes, n_images=64, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert evaluate(model, data, codes, n_images=64, seed=5) == scores
    assert scores["kl"]["subset_seed"] == 5
    assert scores["kl"]["n_images"] == 64
    alone = likelihood_terms(model, data.sample(64, 5), seed=5)
    assert scores["kl"]["value"] == alone["kl"].value
    assert evaluate(model, data, codes, n_images=None)["kl"]["subset_seed"] is None


def test_a_sweep_moves_one_latent_and_leaves_the_others(model):
    start, values = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([-1.0, 0.0, 1.0])
    images = decode_traversals(model, start, [2, 0], values)
    assert images.shape == (2, 3, 1, 16, 16)
    with torch.no_grad():
        expected = model.decode(torch.tensor([[0.5, -1.0, 1.0], [-1.0, -1.0, 2.0]])).mean
    torch.testing.assert_close(images[0, 2], expected[0])
    torch.testing.assert_close(images[1, 0], expected[1])


def test_scores_hold_the_exponents_as_they_were_learned(model, data):
    learned = {"prior": "2.1[2*2, z]", "learn_exponents": True}
    shaped = build_model(RunConfig.parse(SETTINGS | learned), data.shape)
    with torch.no_grad():
        next(shaped.prior.parameters()).add_(0.5)
    scores = evaluate(shaped, data, encode_all(shaped, data), n_images=8)
    assert scores["exponents"] == shaped.prior.exponents.tolist()
    assert scores["exponents"][0] == pytest.approx(2.1)
    assert scores["exponents"][1] > 2.1
    assert "exponents" not in evaluate(model, data, encode_all(model, data), n_images=8)


def test_codes_are_computed_where_they_are_not_given(model, data):
    codes = encode_all(model, data)
    assert evaluate(model, data, n_images=8) == evaluate(model, data, codes, n_images=8)


def test_every_score_stands_once_in_one_shape(model, data):
    names = ["binned_mig", "elbo_decomposition"]
    scores = evaluate(model, data, metrics=names, n_images=8)
    assert {"reconstruction", "kl", "mig", *names} == {
        name for name, score in scores.items() if isinstance(score, dict)
    }
    mig = scores["mig"]
    assert mig["value"] == pytest.approx(np.mean([*mig["per_factor"].values()]))
    assert np.shape(scores["mutual_information"]) == (3, len(scores["factors"]))
    assert "skipped" not in scores
    everything = evaluate(model, data, metrics="unsupervised", n_images=8)
    assert everything["skipped"].keys() == {"udr", "agreement"}
    unlabelled = evaluate(model, data.with_changes(grid=None), n_images=8)
    assert not {"mig", "factors", "mutual_information"} & set(unlabelled)


def test_progress_names_every_stage(model, data):
    heard = []
    evaluate(model, data, n_images=8, on_progress=lambda *told: heard.append(told))
    n = len(data)
    assert heard == [("encoding", n, n), ("likelihood", 8, 8), ("scoring mig", 0, 1)]


def test_scores_say_which_factors_are_binned(model, data, capsys):
    angle = np.random.default_rng(0).uniform(size=len(data))
    data = data.with_changes(grid=grid_of_values({"angle": angle, "lit": angle > 0.5}))
    scores = evaluate(model, data, n_images=8)
    assert scores["binned"] == {"angle": 20}
    assert evaluate(model, data, n_images=8, bins=4)["binned"] == {"angle": 4}
    assert "binned" not in evaluate(model, data, n_images=8, bins=0)
    show(scores)
    assert "angle is continuous and scored in 20 quantile bins" in capsys.readouterr().out


def test_one_image_has_no_standard_error(tmp_path):
    images = ImageDataset(np.eye(8, dtype=np.uint8)[None])
    config = RunConfig(prior="normal", n_latents=2, width=8, data="arrays")
    scores = evaluate(build_model(config, images.shape), images)
    assert scores["reconstruction"]["standard_error"] is None
    assert scores["kl"]["standard_error"] is None


def test_functions_of_ones_own_are_scored_beside_the_others(model, data):
    def spread(codes):
        return codes.mean.std()

    stages = []
    scores = evaluate(
        model, data, metrics=["active_units", spread], n_images=16,
        on_progress=lambda *stage: stages.append(stage),
    )  # fmt: skip
    codes = encode_all(model, data)
    assert scores["spread"]["value"] == pytest.approx(float(codes.mean.std()))
    assert scores["spread"]["source"].endswith("test_evaluation.spread")
    assert {"mig", "active_units", "reconstruction"} <= set(scores)
    assert stages[-1] == ("scoring spread", 2, 3)
    alone = evaluate(model, data, codes, metrics=spread, n_images=16)
    assert alone["spread"] == scores["spread"]
