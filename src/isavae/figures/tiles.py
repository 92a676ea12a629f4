"""Many small images side by side as one picture."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from isavae.figures.style import bare


def mosaic(
    images: Float[Tensor, "rows columns channels height width"], gap: int = 2
) -> Float[np.ndarray, "tall wide ..."]:
    """Images laid out in rows and columns on white, `gap` pixels apart.

    Grey images (one channel) give a matrix, RGB ones an array with the colours last.

    >>> mosaic(torch.zeros(2, 3, 1, 8, 8)).shape, mosaic(torch.zeros(2, 3, 3, 8, 8)).shape
    ((18, 28), (18, 28, 3))
    """
    rows, columns, channels, height, width = images.shape
    sheet = torch.ones(channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            tile = images[row, column].detach().float().cpu().clamp(0, 1)
            sheet[:, top : top + height, left : left + width] = tile
    return sheet[0].numpy() if channels == 1 else sheet.permute(1, 2, 0).numpy()


def show_tiles(
    axes: Axes, images: Float[Tensor, "rows columns channels height width"], gap: int = 2
) -> None:
    """Draws a mosaic so that tile (row, column) covers the unit square around (column, row)."""
    rows, columns, _, height, width = images.shape
    # The mosaic has no gap after its last tile; the extent gives that half gap back on each side.
    across, down = gap / (width + gap) / 2, gap / (height + gap) / 2
    extent = (-0.5 + across, columns - 0.5 - across, rows - 0.5 - down, -0.5 + down)
    axes.imshow(mosaic(images, gap), extent=extent, cmap="gray", vmin=0, vmax=1)
    axes.set_aspect(height / width)
    axes.autoscale(False)
    bare(axes)
