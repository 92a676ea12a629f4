"""Coloured and noisy dSprites: what is laid over an image, and that it stays the same."""

import numpy as np
import pytest
import torch

from isavae.data import load
from isavae.data.drawn.variants import colour, noise


def sprites(n=400):
    images = torch.zeros(n, 1, 64, 64)
    images[:, :, 20:40, 20:40] = 1
    return images


def test_colours_are_uniform_between_a_half_and_one():
    coloured = colour(sprites(), np.arange(1000, 1400))
    assert (coloured[:, :, 0, 0] == 0).all()
    inks = coloured[:, :, 30, 30]
    assert torch.equal(coloured[:, :, 20, 39], inks)
    assert 0.5 <= inks.min() < 0.52
    assert 0.98 < inks.max() <= 1
    assert (inks.mean(dim=0) - 0.75).abs().max() < 4 * 0.5 / 12**0.5 / 400**0.5
    assert torch.corrcoef(inks.T).fill_diagonal_(0).abs().max() < 0.2


def test_noise_is_uniform_behind_and_independent_between_images():
    noisy = noise(sprites(), np.arange(1000, 1400))
    assert (noisy[:, :, 20:40, 20:40] == 1).all()
    behind = noisy[:, :, :20].flatten()
    counts = torch.histc(behind, 16, 0, 1)
    expected = len(behind) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi2.ppf(1 - 1e-5, 15) = 50
    corner = noisy[:, 0, :8, :8].flatten(1)
    between = torch.corrcoef(corner).fill_diagonal_(0)
    assert between.abs().max() < 0.75
    assert between.mean().abs() < 0.01


@pytest.mark.parametrize("name", ["dsprites-color", "dsprites-noisy"])
def test_an_image_keeps_its_look_in_every_part(name):
    whole = load(name)
    assert whole.shape == (3, 64, 64)
    assert not whole.is_binary
    some = [700_000, 3, 123_456]
    part = load(f"{name}[shape=heart, posX=3]")
    row = whole.grid.index((2, 4, 7, 3, 9))
    at = part.grid.index((0, 4, 7, 0, 9))
    assert torch.equal(part.batch([at]), whole.batch([row]))
    assert torch.equal(whole.batch(some)[1:2], whole.batch([3]))
    assert whole.minibatch(0, 0, 5).shape == (5, 3, 64, 64)
    plain = load("dsprites").batch(some)
    assert (whole.batch(some)[plain.expand(-1, 3, -1, -1) == 1] >= 0.5).all()
