"""DSprites against the published frames where they are at hand, and against facts everywhere."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from isavae.data.drawn.sprites import GRID, draw, dsprites, outline

FRAMES = Path(__file__).parents[4] / "shared/dsprites/frames.npz"


def one(size=64, **latents):
    chosen = {name: [latents.get(name, 0)] for name in GRID.names}
    return np.unpackbits(next(draw(chosen, size))).reshape(size, size)


@pytest.mark.skipif(
    not FRAMES.exists(), reason="needs the published frames: shared/dsprites/frames.npz"
)
def test_no_pixel_differs_from_the_published_frames():
    published = np.load(FRAMES)
    wrong = [
        int((one(**dict(zip(GRID.names, latents, strict=True))) != frame).sum())
        for frame, latents in zip(published["frames"], published["latents"].tolist(), strict=True)
    ]
    assert len(wrong) == 320
    assert sum(wrong) == 0


@pytest.mark.parametrize(
    ("latents", "lit", "box"),
    [  # counted in the published frames
        ((2, 0, 0, 0, 0), 58, (11, 19, 11, 20)),
        ((2, 5, 27, 0, 0), 225, (8, 26, 8, 26)),
        ((2, 5, 39, 10, 31), 224, (39, 56, 17, 35)),
        ((2, 5, 39, 31, 3), 226, (10, 27, 38, 57)),
        ((1, 3, 0, 0, 0), 184, (10, 21, 6, 25)),
        ((0, 4, 0, 0, 0), 324, (7, 24, 7, 24)),
        ((0, 5, 36, 0, 0), 368, (3, 28, 3, 28)),
    ],
)
def test_lit_pixels_and_bounding_box(latents, lit, box):
    """`box`: first and last lit row, first and last lit column."""
    image = one(**dict(zip(GRID.names, latents, strict=True)))
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert (image.sum(), (rows[0], rows[-1], columns[0], columns[-1])) == (lit, box)


def test_the_first_and_the_last_orientation_are_the_same_image():
    for shape in range(3):
        first, last = one(shape=shape, scale=4), one(shape=shape, scale=4, orientation=39)
        assert np.array_equal(first, last)
        assert not np.array_equal(first, one(shape=shape, scale=4, orientation=3))


@pytest.mark.parametrize("size", [64, 32, 16])
@pytest.mark.parametrize("shape", GRID.categories["shape"])
def test_pixels_are_the_polygon_at_their_centres(shape, size):
    """Against a winding-number test of single points in floating point."""
    s, k, i, j = 4, 7, 11, 20
    angle = 2 * np.pi * k / 39
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = 16 + 32 * np.array([i, j]) / 31 + 0.9 * outline(shape) @ turn.T
    corners = np.floor(corners * size / 64 * 256 + 0.5) / 256
    image = one(
        size, shape=GRID.categories["shape"].index(shape), scale=s, orientation=k, posX=i, posY=j
    )
    for row in range(size):
        for column in range(size):
            to = corners - np.array([column + 0.5, row + 0.5])
            nxt = np.roll(to, -1, axis=0)
            turned = np.arctan2(to[:, 0] * nxt[:, 1] - to[:, 1] * nxt[:, 0], (to * nxt).sum(axis=1))
            assert image[row, column] == (abs(turned.sum()) > np.pi)


def test_rows_of_a_selection_are_those_of_the_whole():
    rows, grid = GRID.select(shape="heart", scale=[5, 0], orientation=2, posX=slice(1, 9, 3))
    part = dsprites(shape="heart", scale=[5, 0], orientation=2, posX=slice(1, 9, 3))
    assert part.grid == grid
    images = part.batch(range(len(part))).numpy()[:, 0]
    for k in range(0, len(part), 17):
        latents = dict(zip(GRID.names, GRID.values(int(rows[k])), strict=True))
        assert np.array_equal(images[k], one(**latents))


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="64, 32 or 16"):
        dsprites(28)


def test_every_image_stays_as_it_is():
    """The hash was taken when all published frames matched; ties and rounding show up in it."""
    every = {name: range(size) for name, size in zip(GRID.names, GRID.sizes, strict=True)}
    digest = hashlib.sha256()
    for block in draw(every):
        digest.update(block)
    assert digest.hexdigest() == "a633ec1c60535b2cb0ddce1eff200fe7d64356ac276023214a64274c9db8e6ee"
