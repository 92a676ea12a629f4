"""Many small images as tiles in the axes of a figure."""

from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from isavae.data.tiles import tile
from isavae.figures import style


def show_tiles(
    axes: Axes, images: Float[Tensor, "rows columns channels height width"], gap: int = 2
) -> None:
    """Draw images `gap` pixels apart, so that tile (row, column) is centred on (column, row)."""
    rows, columns, _, height, width = images.shape
    # There is no gap after the last tile; the extent gives that half gap back on each side.
    across, down = gap / (width + gap) / 2, gap / (height + gap) / 2
    extent = (-0.5 + across, columns - 0.5 - across, rows - 0.5 - down, -0.5 + down)
    axes.imshow(
        tile(images.flatten(0, 1), columns, gap), extent=extent, cmap="gray", vmin=0, vmax=255
    )
    axes.set_aspect(height / width)
    axes.autoscale(False)
    style.hide_axes(axes)
