"""Images and their reconstructions."""

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from isavae.figures import style
from isavae.figures.tiles import show_tiles


@style.applied
def reconstructions(
    originals: Float[Tensor, "n channels height width"],
    decoded: Float[Tensor, "n channels height width"],
    columns: int = 10,
    width: float = style.PAGE,
) -> Figure:
    """Rows of images, each above its reconstruction.

    Args:
        originals: Images in [0, 1].
        decoded: The decoder's mean images for them.
        columns: Images in a row; a last row that would be incomplete is left out, unless it is
            the only one.
        width: Inches; the height follows from the images.
    """
    columns = min(columns, len(originals))
    rows = len(originals) // columns
    pairs = torch.stack([originals, decoded.to(originals)])[:, : rows * columns]
    tiles = pairs.unflatten(1, (rows, columns)).transpose(0, 1).flatten(0, 1)
    height = (width - 0.6) / columns * 2 * rows * tiles.shape[-2] / tiles.shape[-1]
    figure, axes = style.new_axes(width, height + 0.15)
    show_tiles(axes, tiles)
    axes.set_yticks(range(2 * rows), ["image", "decoded"] * rows)
    axes.tick_params(length=0)
    return figure
