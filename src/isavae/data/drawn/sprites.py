"""dSprites drawn here: the outlines of the published data set, sampled bit for bit.

This geometry reproduces all 320 frames of the data set's own animation without a wrong pixel.
Square and heart are pinned tightly by them; for the ellipse other polygons also fit the frames.
Were its polygon another one, 4-13 % of the ellipse images would differ by one or two pixels; the
rule for a pixel centre exactly on an edge touches 0.4 % of the images by one pixel.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from isavae.data.cache import cached
from isavae.data.classes import Choice
from isavae.data.dataset import ImageDataset
from isavae.data.grids import DSPRITES as GRID
from isavae.data.places import cache_file
from isavae.data.read_progress import progress

# Vertices are snapped to this fraction of a pixel.
SUBPIXELS = 256


def outline(shape: str) -> np.ndarray:
    """Vertices of a shape at scale 1, in 64ths of the image, around its centre of rotation.

    Args:
        shape: `square`, `ellipse` (100 vertices) or `heart` (150 vertices).

    Returns:
        float64, shape (vertices, 2): x to the right, y down.

    Examples:
        >>> outline("square")
        array([[-9.6, -9.6],
               [ 9.6, -9.6],
               [ 9.6,  9.6],
               [-9.6,  9.6]])
    """
    u = 9.6
    if shape == "square":
        return u * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    t = 2 * np.pi * np.arange(n := {"ellipse": 100, "heart": 150}[shape]) / n
    if shape == "ellipse":
        return np.stack([1.33 * u * np.cos(t), u / 1.33 * np.sin(t)], axis=1)
    lobe = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([u * np.sin(t) ** 3, -u * (lobe / 14.5 + 0.15)], axis=1)


def draw(chosen: Mapping[str, Sequence[int] | np.ndarray], size: int = 64) -> Iterator[np.ndarray]:
    """Draw a product of factor classes, one block of positions at a time.

    Args:
        chosen: The classes to draw of every factor of `GRID`.
        size: Height and width: 64 as published, or 32 or 16, for which the *outline* is
            scaled before it is sampled.

    Yields:
        For each shape, scale and orientation in turn, the images of all positions (posY fastest):
        uint8, shape (positions, size · size / 8), eight pixels a byte, the first the highest bit.

    Examples:
        >>> middle = {"shape": [0], "scale": [5], "orientation": [0], "posX": [16], "posY": [16]}
        >>> int(np.unpackbits(next(draw(middle))).sum())
        361
    """
    for shape in chosen["shape"]:
        px, py = outline(GRID.categories["shape"][shape]).T
        for scale in chosen["scale"]:
            s = 0.5 + 0.1 * scale
            for orientation in chosen["orientation"]:
                angle = 2 * np.pi * orientation / 39
                c, n = np.cos(angle), np.sin(angle)
                vx = _snap(16 + 32 * _places(chosen["posX"]) + c * (px * s) + n * (py * s), size)
                vy = _snap(16 + 32 * _places(chosen["posY"]) - n * (px * s) + c * (py * s), size)
                yield _fill(vx, vy, size)


def _places(positions: Sequence[int] | np.ndarray) -> np.ndarray:
    return (np.asarray(positions) / 31)[:, None]


def _snap(v: np.ndarray, size: int) -> np.ndarray:
    return np.floor(v * (size / 64 * SUBPIXELS) + 0.5).astype(np.int64)


def _fill(vx: np.ndarray, vy: np.ndarray, size: int) -> np.ndarray:
    """Sample polygons (vx[i], vy[j]) for all i, j at the pixel centres, by the even-odd rule.

    A row of pixels is one 64-bit word. Every edge that crosses the row's centre line flips all
    pixels from the crossing on, so a row is the exclusive or of such masks. Half-open comparisons
    make a centre exactly on an edge belong to the polygon on its right or below (top-left rule).
    """
    centres = SUBPIXELS * np.arange(size) + SUBPIXELS // 2
    y0, y1 = vy, np.roll(vy, -1, axis=1)
    top, bottom = np.minimum(y0, y1)[:, None], np.maximum(y0, y1)[:, None]
    crossed = (top <= centres[:, None]) & (centres[:, None] < bottom)
    j, row, edge = np.nonzero(crossed)  # sorted by polygon and row, as `reduceat` needs
    dy, down = (y1 - y0)[j, edge], centres[row] - y0[j, edge]
    x0, dx = vx[:, edge], (np.roll(vx, -1, axis=1) - vx)[:, edge]
    # First column whose centre is not left of x0 + dx · down / dy. Numerator and denominator are
    # integers below 2^31, so a quotient that is no integer is off by more than float64 rounds.
    first = np.ceil(((x0 - centres[0]) * dy + dx * down) / (SUBPIXELS * dy)).astype(np.int64)
    flips = _words(size)[np.clip(first, 0, size)]
    starts = np.flatnonzero(np.diff(j * size + row, prepend=-1))
    words = np.zeros((len(vx), len(vy), size), dtype=np.uint64)
    words[:, j[starts], row[starts]] = np.bitwise_xor.reduceat(flips, starts, axis=1)
    pixels = words.astype(">u8").view(np.uint8).reshape(*words.shape, 8)[..., : size // 8]
    return pixels.reshape(len(vx) * len(vy), size * size // 8)


@cache
def _words(size: int) -> np.ndarray:
    """Row masks by first column: all columns from it on are lit; the highest bit is column 0."""
    lit = (1 << 64) - (1 << (64 - size))
    return np.array([lit & ((1 << (64 - first)) - 1) for first in range(size + 1)], dtype=np.uint64)


def dsprites(size: int = 64, **choices: Choice) -> ImageDataset:
    """DSprites, drawn; all of it is kept on disk, while a part is drawn when asked for.

    Args:
        size: Height and width: 64, 32 or 16.
        **choices: Classes of some factors, as for `FactorGrid.select`.

    Returns:
        Binary images in the published order, with their `FactorGrid`.

    Raises:
        ValueError: If the size is another, or a factor has no such class.

    Examples:
        >>> dsprites(shape="heart", orientation=0, scale=slice(None, None, 2)).grid.sizes
        (1, 3, 1, 32, 32)
    """
    if size not in (64, 32, 16):
        raise ValueError(f"dSprites are drawn with 64, 32 or 16 pixels a side, not with {size}.")
    name, shape = "dsprites" if size == 64 else f"dsprites{size}", (1, size, size)
    _, grid = GRID.select(**choices)
    chosen = {f: GRID.classes(f, choices.get(f, slice(None))) for f in GRID.names}
    blocks = progress(draw(chosen, size), math.prod(grid.sizes[:3]), f"drawing {name}")
    if choices:
        return ImageDataset.from_stored(name, np.concatenate(list(blocks)), shape, grid)
    return cached(cache_file(name), f"{name}/1", lambda: (shape, blocks, grid))
