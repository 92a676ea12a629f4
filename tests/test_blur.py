"""Coarse-to-fine training against scipy's Gaussian filter, and within the training loop."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from isavae.blur import Blur
from isavae.data import ImageDataset
from isavae.models import OBJECTIVES, BetaVAE
from isavae.runs import RunConfig
from isavae.runs.build import fresh_state
from isavae.training import train

IMAGES = torch.rand(3, 2, 20, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45])
def test_it_is_a_gaussian_filter_over_the_pixels_that_there_are(share):
    blur = Blur(std=5.0, until=0.5)
    std = (0, 0, blur.std_at(share), blur.std_at(share))
    weights = {"mode": "constant", "truncate": 30.0}
    whole = gaussian_filter(np.ones(IMAGES.shape), std, **weights)
    expected = gaussian_filter(IMAGES.double().numpy(), std, **weights) / whole
    np.testing.assert_allclose(blur(IMAGES.double(), share), expected, atol=1e-12)


def test_even_images_and_sharp_ones_stay_as_they_are():
    even = torch.full_like(IMAGES, 0.7)
    torch.testing.assert_close(Blur(3.0)(even, 0.1), even)
    assert Blur(3.0, until=0.5)(IMAGES, 0.5) is IMAGES
    assert Blur()(IMAGES, 0.0) is IMAGES


@pytest.mark.parametrize("objective", ["beta-vae", "factor-vae"])
def test_training_blurs_every_batch_and_a_resumed_run_goes_on_the_same(objective):
    data = ImageDataset(np.random.default_rng(0).random((40, 1, 8, 8)))
    config = RunConfig.parse(
        {
            "prior": "normal",
            "n_latents": 2,
            "width": 8,
            "batch_size": 8,
            "objective": {"name": objective},
        }
    )

    def steps(state, count, blur):
        made = OBJECTIVES[objective]()
        loop = train(state, data, made, steps=10, batch_size=8, seed=0, blur=blur)
        return [next(loop).to_floats()["loss"] for _ in range(count)]

    sharp = steps(fresh_state(config, data.shape), 10, Blur())
    blurred = steps(fresh_state(config, data.shape), 10, Blur(2.0, until=0.4))
    assert all(a != b for a, b in zip(sharp, blurred, strict=True))
    state = fresh_state(config, data.shape)
    assert steps(state, 3, Blur(2.0, until=0.4)) == blurred[:3]
    assert steps(state, 7, Blur(2.0, until=0.4)) == blurred[3:]


def test_the_first_batch_is_as_blurred_as_said():
    data = ImageDataset(IMAGES[:, :1].numpy())
    seen = []

    class Objective(BetaVAE):
        def __call__(self, output, **context):
            seen.append(output.x)
            return super().__call__(output, **context)

    config = RunConfig.parse({"prior": "normal", "n_latents": 2, "width": 8})
    state = fresh_state(config, data.shape)
    blur = Blur(2.0, until=0.5)
    list(train(state, data, Objective(), steps=4, batch_size=3, seed=0, blur=blur))
    for step, x in enumerate(seen):
        assert torch.equal(x, blur(data.minibatch(0, step, 3), step / 4))
    assert torch.equal(seen[2], data.minibatch(0, 2, 3))
