"""What a fit says about its model beside principal components."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from isavae.explained import Explained, explained
from isavae.fitting import Axis, axes_of
from isavae.fitting.fitted import Fitted
from isavae.fitting.model_choice import Candidate
from isavae.metrics import Codes
from isavae.models import VAE, BetaVAE, build_likelihood, build_prior
from isavae.runs import Run, RunConfig, TrainedModel

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 1, 4, 5), np.uint8)


def linear_vae(components: int) -> VAE:
    """A VAE whose reconstructions are those of PCA."""
    pca = PCA(components).fit(IMAGES.reshape(50, -1) / 255)
    encoder, decoder = nn.Linear(20, 2 * components), nn.Linear(components, 20)
    directions = torch.from_numpy(pca.components_).float()
    mean = torch.from_numpy(pca.mean_).float()
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            parameter.zero_()
        encoder.weight[:components] = directions
        encoder.bias[:components] = -directions @ mean
        decoder.weight[:] = directions.T
        decoder.bias[:] = mean
    networks = (
        nn.Sequential(nn.Flatten(), encoder),
        nn.Sequential(decoder, nn.Unflatten(1, (1, 4, 5))),
    )
    return VAE(*networks, build_prior("normal", components), build_likelihood("gaussian(0.1)"))


@pytest.mark.parametrize("components", [1, 3])
def test_a_linear_model_explains_what_pca_does(components):
    found = explained(linear_vae(components), IMAGES, components)
    expected = PCA(components).fit(IMAGES.reshape(50, -1) / 255).explained_variance_ratio_.sum()
    assert found.linear == pytest.approx(expected, abs=1e-6)
    assert found.model == pytest.approx(expected, abs=1e-5)
    assert found.is_enough
    assert not explained(linear_vae(components), IMAGES, components + 2).is_enough


def fitted(axes: list[Axis], shares: Explained, folder: Path) -> Fitted:
    config = RunConfig(seed=1, objective=BetaVAE(2.0))
    model = TrainedModel(linear_vae(4), config, (1, 4, 5))
    codes = Codes(torch.zeros(1, 4), torch.zeros(1, 4))
    chosen = Candidate(Run(folder, config), codes, len(axes), -1.0, 1.0)
    return Fitted(model, axes, codes, ("a",), [chosen], chosen, shares, (), {}, 0)


def test_axes_are_stable_only_beside_others_and_where_pca_explains_no_more(tmp_path):
    axis, enough = Axis(0, 0, 1.0, 0.95, 2, 3), Explained(0.6, 0.55)
    two = fitted([axis, replace(axis, latent=1)], enough, tmp_path)
    assert [two.verdict(each) for each in two.axes] == ["stable", "stable"]
    assert two.sentences()[0].startswith("The model with β = 2 (KL × 2), seed 1, was chosen ")
    assert "explain 60% of the variance" in two.sentences()[1]
    assert "explain 55%" in two.sentences()[1]
    assert two.sentences()[2].startswith("Stable: z1 (2 of 3), z2 (2 of 3); ")
    single, worse = fitted([axis], enough, tmp_path), replace(two, explained=Explained(0.5, 0.55))
    for poor in (single, worse):
        assert {poor.verdict(each) for each in poor.axes} == {"not stable"}
        assert any(text.startswith("Nothing stable was found: ") for text in poor.sentences())


def test_of_three_latents_that_say_the_same_other_seeds_find_one():
    generator = torch.Generator().manual_seed(0)
    x, y, z = torch.randn(3, 1000, generator=generator)
    mine, other = torch.stack([x, x, x], 1), torch.stack([x, y, z], 1)
    mine, other = (Codes(mean, torch.full_like(mean, -3.0)) for mean in (mine, other))
    axes = axes_of(mine, [other, other], [slice(0, 3)])
    assert sorted(axis.verdict for axis in axes) == ["not stable", "not stable", "stable"]
    assert sorted(axis.found_by for axis in axes) == [0, 0, 2]


def test_an_axis_that_half_of_two_seeds_find_is_not_stable():
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 1000, 1, generator=generator)
    mine, same, stranger = (
        Codes(mean, torch.full_like(mean, -3.0)) for mean in (x, x, x + 1.2 * noise)
    )
    (axis,) = axes_of(mine, [same, stranger], [slice(0, 1)])
    assert (axis.found_by, axis.verdict) == (1, "partly stable")
