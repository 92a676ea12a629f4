"""Images as tiles: traversals of latents, and images beside their reconstructions."""

from collections.abc import Sequence
from math import isfinite

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from isavae.data.tiles import side_by_side, tile
from isavae.evaluation import decode_traversals
from isavae.figures import style
from isavae.models import VAE
from isavae.runs import TrainedModel


def show_tiles(
    axes: Axes, images: Float[Tensor, "rows columns channels height width"], gap: int = 2
) -> None:
    """Draw images `gap` pixels apart, so that tile (row, column) is centred on (column, row)."""
    images = side_by_side(images)
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


def traversals(model: TrainedModel | VAE, steps: int = 11) -> Figure:
    """Traversals of every latent of a model, through the middle of its prior.

    Each latent moves over two standard deviations of the prior. `isavae.report.RunFigures` draws
    the traversals of a run through the code of an image, the most informative latents first.

    Args:
        model: A trained model, or a VAE.
        steps: Images in a row.
    """
    trained = isinstance(model, TrainedModel)
    vae = model.vae if trained else model
    with torch.no_grad():
        reach = 2 * float(vae.prior().stddev.max())
    values = torch.linspace(-1, 1, steps) * (reach if isfinite(reach) else 2.0)
    latents = range(vae.prior.n_latents)
    images = decode_traversals(vae, torch.zeros(len(latents)), latents, values)
    shown = model.preprocessing.shown(images) if trained else images
    names = model.names if trained else ()
    return traversal_tiles(shown, values, latents, vae.prior.subspaces, names=names)


@style.applied
def traversal_tiles(
    images: Float[Tensor, "latents steps channels height width"],
    values: Float[Tensor, "columns"],
    latents: Sequence[int] | None = None,
    subspaces: Sequence[slice] = (),
    width: float = style.PAGE,
    names: Sequence[str] = (),
) -> Figure:
    """Decoded traversals (Figs. 8-16, right): one row per latent, one column per value.

    Args:
        images: Decoded images in [0, 1], one row for each latent that is shown.
        values: The value of the moving latent in each column.
        latents: Which latents the rows are, counted from 0; by default the first ones in order.
        subspaces: Slices of the latents that belong together; each is marked by a colour.
        width: Inches; the height follows from the images.
        names: The name of every latent of the model, such as `TrainedModel.names`.

    Raises:
        ValueError: `values` or `latents` do not fit the images.
    """
    images = side_by_side(images)
    rows, steps, _, tall, wide = images.shape
    shown = tuple(range(rows)) if latents is None else tuple(latents)
    if len(values) != steps or len(shown) != rows:
        raise ValueError(
            f"images of {rows} latents at {steps} values need as many names, not {len(shown)} "
            f"latents and {len(values)} values; pass the ones that were decoded"
        )
    figure, axes = style.new_axes(width, 0.45 + (width - 0.5) / steps * rows * tall / wide)
    show_tiles(axes, images)
    ticks = range(0, steps, 2 if steps > 9 else 1)
    axes.set_xticks(ticks, [style.format_number(float(values[step])) for step in ticks])
    axes.tick_params(length=0)
    axes.set_xlabel("value of the latent; the others stay as encoded")
    mark_rows(axes, shown, subspaces, names)
    style.mark_subspaces(figure, shown, subspaces)
    return figure


@style.applied
def image_rows(
    images: Float[Tensor, "latents columns channels height width"],
    latents: Sequence[int],
    subspaces: Sequence[slice] = (),
    names: Sequence[str] = (),
    width: float = style.PAGE,
) -> Figure:
    """Images in one row for each of some latents, such as the real images nearest along it.

    Args:
        images: Images in [0, 1].
        latents: Which latents the rows are, counted from 0.
        subspaces: Slices of the latents that belong together; each is marked by a colour.
        names: The name of every latent of the model, such as `TrainedModel.names`.
        width: Inches; the height follows from the images.
    """
    images = side_by_side(images)
    rows, columns, _, tall, wide = images.shape
    figure, axes = style.new_axes(width, 0.25 + (width - 0.5) / columns * rows * tall / wide)
    show_tiles(axes, images)
    axes.tick_params(length=0)
    mark_rows(axes, latents, subspaces, names)
    style.mark_subspaces(figure, latents, subspaces)
    return figure


def mark_rows(
    axes: Axes, latents: Sequence[int], subspaces: Sequence[slice], names: Sequence[str] = ()
) -> None:
    """Names the rows of a grid of tiles after their latents, coloured by subspace."""
    axes.set_yticks(range(len(latents)), [style.latent_name(latent, names) for latent in latents])
    labels = axes.get_yticklabels()
    for row, (latent, label) in enumerate(zip(latents, labels, strict=True)):
        shade = style.latent_colour(latent, subspaces)
        label.set(fontsize=10, color=shade)
        if style.subspace_of(latent, subspaces) is not None:
            axes.plot([-0.56] * 2, [row - 0.45, row + 0.45], color=shade, lw=2.5, clip_on=False)
    axes.tick_params(axis="y", pad=7)


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
    pairs = side_by_side(torch.stack([originals, decoded.to(originals)]))[:, : rows * columns]
    tiles = pairs.unflatten(1, (rows, columns)).transpose(0, 1).flatten(0, 1)
    height = (width - 0.6) / columns * 2 * rows * tiles.shape[-2] / tiles.shape[-1]
    figure, axes = style.new_axes(width, height + 0.15)
    show_tiles(axes, tiles)
    axes.set_yticks(range(2 * rows), ["image", "decoded"] * rows)
    axes.tick_params(length=0)
    return figure
