"""The sets of images of `axes.py`: drawn ones with known factors, and real ones without."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from isavae.data import FactorGrid, load

IMAGES, HELD_OUT = 4_000, 0.2
DRAWN = {
    "sprites": "dsprites",
    "heads": "faces3d-drawn",
    "cars": "cars3d-drawn",
    "rooms": "rooms3d-drawn",
}
REAL = ("digits-8", "glyphs-32", "glyphs-64", "emoji-32", "emoji-64")
SETS = (*(f"{name}-{size}" for name in DRAWN for size in (32, 64)), *REAL)


@dataclass(frozen=True)
class Images:
    """Images in [0, 1] of one draw, and which of them are held out."""

    all: Tensor
    grid: FactorGrid | None
    train: Tensor
    held_out: Tensor


class MissingError(Exception):
    """What a cell needs is not installed."""


def images_of(name: str, draw: int) -> Images:
    kind, size = name.split("-")
    grid = None
    if kind in DRAWN:
        data = load(DRAWN[kind]).sample(IMAGES, draw)
        pixels, grid = data.batch(slice(None)), data.grid
        pixels = avg_pool2d(pixels, 2) if size == "32" else pixels
    else:
        real = {"digits": digits, "glyphs": glyphs, "emoji": emoji}[kind](int(size))
        order = np.random.default_rng(draw).permutation(len(real))[:IMAGES]
        pixels = real[torch.from_numpy(order)]
    held = np.random.default_rng(draw).random(len(pixels)) < HELD_OUT
    return Images(pixels, grid, pixels[~held], pixels[held])


def digits(_: int) -> Tensor:
    from sklearn.datasets import load_digits

    return torch.from_numpy(load_digits().images / 16).float()[:, None]


def glyphs(size: int) -> Tensor:
    """Letters and digits of every installed font, black on white."""
    from matplotlib.font_manager import findSystemFonts
    from PIL import Image, ImageDraw, ImageFont

    pictures = []
    for path in sorted(findSystemFonts()):
        try:
            font = ImageFont.truetype(path, round(0.75 * size))
        except OSError:  # a bitmap font
            continue
        for letter in map(chr, [*range(48, 58), *range(65, 91), *range(97, 123)]):
            picture = Image.new("L", (size, size), 255)
            ImageDraw.Draw(picture).text((size / 2, size / 2), letter, 0, font, anchor="mm")
            pictures.append(np.asarray(picture))
    if len(pictures) < 100:
        raise MissingError("no fonts are installed")
    return torch.from_numpy(np.unique(pictures, axis=0)).float()[:, None] / 255


def emoji(size: int) -> Tensor:
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import findSystemFonts
    from PIL import Image, ImageDraw, ImageFont

    path = next((p for p in findSystemFonts() if "emoji" in p.lower()), None)
    if path is None:
        raise MissingError("no font with emoji is installed")
    font, pictures = ImageFont.truetype(path, 109), []  # the one size of colour bitmaps
    for code in (code for code in TTFont(path, lazy=True).getBestCmap() if code > 0x2000):
        picture = Image.new("RGB", (136, 128), "white")
        ImageDraw.Draw(picture).text((0, 0), chr(code), font=font, embedded_color=True)
        pictures.append(np.asarray(picture.resize((size, size))))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
