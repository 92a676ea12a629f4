"""The published dSprites file against the images drawn here, bit by bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from isavae.data.classes import Choice
from isavae.data.drawn.sprites import dsprites
from isavae.data.official.readers import read_dsprites
from isavae.data.read_progress import progress


@final
@dataclass(frozen=True)
class Comparison:
    """Differences between a published file and the drawn images, by shape.

    Args:
        images: The number of images that were compared.
        differing: The number of images that differ.
        pixels: The number of pixels that differ.
    """

    images: Mapping[str, int]
    differing: Mapping[str, int]
    pixels: Mapping[str, int]

    def __str__(self) -> str:
        lines = [
            f"{shape:<8} {self.pixels[shape]:>9,} pixels of {self.differing[shape]:>7,} "
            f"of {count:,} images differ"
            for shape, count in self.images.items()
        ]
        same = "the file and the drawn images are the same, bit for bit"
        return "\n".join([*lines, "" if any(self.pixels.values()) else same]).strip()


def verify_dsprites(path: Path, **choices: Choice) -> Comparison:
    """Compare the published .npz or .hdf5 file with the drawn images.

    Args:
        path: The file.
        **choices: The part of dSprites that the file holds; by default all.

    Raises:
        ValueError: If the file cannot be read.
    """
    drawn = dsprites(64, **choices)
    grid = drawn.grid
    assert grid is not None  # they are drawn by it
    wrong, at = np.zeros(len(grid), dtype=np.int64), 0
    blocks = read_dsprites([path], grid)
    for block in progress(blocks, len(grid), f"comparing {path.name}", len, "images"):
        differ = np.bitwise_xor(block, drawn.stored[at : at + len(block)])
        wrong[at : at + len(block)] = np.unpackbits(differ, axis=1).sum(axis=1)
        at += len(block)
    of_shape = {name: grid.column("shape") == k for k, name in enumerate(grid.categories["shape"])}
    return Comparison(
        images={name: int(rows.sum()) for name, rows in of_shape.items()},
        differing={name: int((wrong[rows] > 0).sum()) for name, rows in of_shape.items()},
        pixels={name: int(wrong[rows].sum()) for name, rows in of_shape.items()},
    )
