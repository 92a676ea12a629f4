"""DSprites in colour and on noise, as in disentanglement_lib (Locatello et al., 2019).

There every access draws a new colour or new noise; here an image keeps its own, so that a data set
is the same in every run. They are laid over the packed images when a batch is read.
"""

from functools import cache

import numpy as np
from jaxtyping import Float
from torch import Tensor

from isavae.data.conversion import to_device
from isavae.data.dataset import Colourise, ImageDataset
from isavae.data.drawn.sprites import GRID, dsprites
from isavae.data.seeded import uniforms

# Bytes of noise, of which every image uses a stretch of its own.
BANK = 1 << 24


def coloured_dsprites() -> ImageDataset:
    """DSprites whose shape has a random colour, each channel uniform in [0.5, 1]."""
    return _colourised("dsprites-color", colour)


def noisy_dsprites() -> ImageDataset:
    """White sprites on noise that is uniform in [0, 1] in every pixel and channel."""
    return _colourised("dsprites-noisy", noise)


def _colourised(name: str, colourise: Colourise) -> ImageDataset:
    sprites = dsprites()
    return sprites.with_changes(name=name, colourise=colourise, shape=(3, *sprites.shape[1:]))


def colour(images: Float[Tensor, "b 1 h w"], rows: np.ndarray) -> Float[Tensor, "b 3 h w"]:
    """Give each image the colour of its row."""
    colours = to_device(_colours()[rows], images.device)
    return images * colours[:, :, None, None]


def noise(images: Float[Tensor, "b 1 h w"], rows: np.ndarray) -> Float[Tensor, "b 3 h w"]:
    """Add to each image the noise of its row, up to white."""
    shape = (len(images), 3, *images.shape[2:])
    length = int(np.prod(shape[1:]))
    stretches = np.lib.stride_tricks.sliding_window_view(_bank(), length)
    # multiplying by Knuth's constant spreads neighbouring rows over the bank
    starts = rows.astype(np.uint64) * np.uint64(2654435761) % np.uint64(len(stretches))
    added = to_device(stretches[starts.astype(np.int64)], images.device)
    return (images + added.view(shape) / 255).clamp_max(1)


@cache
def _colours() -> np.ndarray:
    return (0.5 + 0.5 * uniforms((len(GRID), 3), 1)).astype(np.float32)


@cache
def _bank() -> np.ndarray:
    return (256 * uniforms((BANK,), 2)).astype(np.uint8)
