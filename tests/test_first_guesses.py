"""What a new user guesses works, or the error names what does; docs/first-guesses.md has more."""

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Gamma, Independent, Normal

import isavae
from isavae.models import BernoulliLikelihood, LpNestedPrior
from isavae.runs import RunConfig, build_model
from isavae.studies import Study

pytestmark = pytest.mark.system

IMAGES = np.eye(8, dtype=np.uint8)[None].repeat(6, 0)


def own_vae(prior, likelihood=None, width=8):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width))
    decoder = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))
    return isavae.VAE(encoder, decoder, prior, likelihood or BernoulliLikelihood())


@pytest.fixture(autouse=True)
def _as_outside_of_tests(monkeypatch):
    """Only in tests are types checked at run time, before a message of the library's own."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def trained():
    config = RunConfig(prior="2.1[2.2*2, 2.2*2]", width=8)
    return isavae.TrainedModel(build_model(config, (1, 8, 8)), config, (1, 8, 8))


def test_the_main_names_are_there_and_load_nothing_before_they_are_used():
    script = (
        "import sys, isavae\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'matplotlib', 'polars'}\n"
        "assert not heavy & set(sys.modules)\n"
        "from isavae import LpNested, fit, load\n"
        "assert not {'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "import isavae.fitting\n"
        "assert isavae.fit is isavae.fitting.fit is fit and isavae.data.load is load\n"
        "from isavae import ISAVAE\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_plain_distribution_is_a_prior_that_is_not_learned():
    exponents = torch.tensor([1.5, 2.5, 3.0])
    plain = isavae.LpNested("2[2*2, 2*2]", scale=0.5, exponents=exponents)
    vae = own_vae(plain)
    z = torch.randn(7, 4)
    torch.testing.assert_close(vae.prior().log_prob(z), plain.log_prob(z))
    assert vae.prior.subspaces == plain.subspaces
    assert not list(vae.prior.parameters())
    assert vae.prior.state_dict().keys() == LpNestedPrior(plain.tree).state_dict().keys()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: own_vae("normal"), "build_prior"),
        (lambda: own_vae(Independent(Normal(torch.zeros(4), torch.ones(4)), 1)), "a Prior whose"),
        (lambda: own_vae(isavae.LpNested("2*4"), "bernoulli"), "build_likelihood"),
        (lambda: own_vae(isavae.LpNested("2*4", torch.ones(3))), "LpNestedPrior"),
        (lambda: own_vae(isavae.LpNested("2*4", torch.ones((), requires_grad=True))), "learns"),
        (lambda: own_vae(isavae.LpNested("2*4", radial=Gamma(2.0, 1.0))), "write a Prior"),
        (
            lambda: own_vae(isavae.LpNested("2*4"), width=4)(torch.rand(2, 1, 8, 8)),
            "last layer",
        ),
        (lambda: isavae.ISAVAE(network=nn.Linear(4, 4)).fit(IMAGES), r"isavae\.VAE"),
    ],
)
def test_parts_of_another_kind_are_refused_with_what_to_do(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


def test_a_trained_model_names_the_shape_that_it_takes(trained):
    with pytest.raises(ValueError, match=r"images\[None\]"):
        trained.encode(IMAGES[0])
    with pytest.raises(ValueError, match=r"got shape \(4,\)"):
        trained.decode(np.zeros(4))


def test_evaluation_says_where_the_scores_of_other_things_are(trained):
    data = isavae.ImageDataset(IMAGES)
    with pytest.raises(TypeError, match=r"the \.vae of a TrainedModel"):
        isavae.evaluate(trained, data)
    with pytest.raises(TypeError, match=r"isavae\.metrics\.evaluate"):
        isavae.evaluate(isavae.Codes(np.zeros((6, 2))), data)
    with pytest.raises(TypeError, match=r"use ImageDataset\(images, factors\)"):
        isavae.evaluate(trained.vae, IMAGES)


def test_loading_a_model_as_data_names_the_way(trained, tmp_path):
    trained.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"TrainedModel\.load opens"):
        isavae.load(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("as_table", [dict, lambda columns: np.stack([*columns.values()], 1)])
def test_factors_of_a_data_set_are_those_of_codes(as_table):
    factors = as_table({"factor_0": [0, 0, 1, 1, 2, 2], "factor_1": [5, 7, 5, 7, 5, 7]})
    data = isavae.ImageDataset(IMAGES, factors)
    assert data.grid == isavae.Codes(np.zeros((6, 2)), factors=factors).grid
    assert data.select(factor_1=7).grid.names == ("factor_0", "factor_1")


def test_traversals_of_a_model_have_a_row_for_each_latent(trained):
    for model in (trained, trained.vae):
        axes = isavae.figures.traversals(model, steps=5).axes[0]
        assert len(axes.get_yticks()) == 4
        ends = [tick.get_text() for tick in axes.get_xticklabels()]
        reach = 2 * float(trained.vae.prior().stddev.max())
        assert float(ends[-1]) == pytest.approx(reach, rel=1e-2)


def test_traversals_need_no_finite_variance():
    vae = own_vae(isavae.models.build_prior("student-t(1)", 4))
    axes = isavae.figures.traversals(vae).axes[0]
    assert axes.get_xticklabels()[-1].get_text() == "2"


def test_a_study_is_the_same_as_text_and_as_values():
    values = {"name": "two", "seeds": 2, "runs": [{"prior": ["normal", "isa"], "steps": 3}]}
    text = "name: two\nseeds: 2\nruns:\n- prior: [normal, isa]\n  steps: 3\n"
    assert [run.id for run in Study.parse(values).runs] == [r.id for r in Study.parse(text).runs]
    with pytest.raises(ValueError, match="pior"):
        Study.parse(values | {"runs": [{"pior": "isa"}]})
