"""Mutual information of latents (or subspaces) with factors, as a matrix."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from isavae.figures import style
from isavae.metrics import Information

# Inches: height of a row, width of a column, room for names and the colour scale.
ROW, COLUMN, MARGIN = 0.22, 0.85, 1.3

# Numbers below this many nats are omitted.
LEAST = 0.005


@style.applied
def information_matrix(
    information: Information,
    subspaces: Sequence[slice] = (),
    names: Sequence[str] = (),
) -> Figure:
    """I(z_j; v_k) in nats, one row per latent; the colour is its share of the factor's entropy.

    The most informative latent of each factor is framed.

    Args:
        information: The matrix, such as `mig(codes).information`.
        subspaces: Slices of the latents that belong together; each is marked by a colour.
        names: The name of every row, such as `TrainedModel.names`.

    Raises:
        ValueError: There is not one name a row.
    """
    nats, shares = information.mutual.tolist(), information.normalized.clamp(0, 1).tolist()
    rows, columns = len(nats), len(information.factors)
    if len(names) not in (0, rows):
        raise ValueError(f"A matrix of {rows} rows needs as many names, but got {len(names)}.")
    width = min(style.PAGE, MARGIN + COLUMN * columns)
    figure, axes = style.new_axes(width, MARGIN + ROW * rows)
    image = axes.imshow(shares, cmap=style.SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for j, row in enumerate(nats):
        for k, value in enumerate(row):
            if value >= LEAST:
                shade = "white" if shares[j][k] < 0.5 else style.INK
                axes.text(k, j, f"{value:.2f}", ha="center", va="center", color=shade, size=7)
    for k, best in enumerate(information.mutual.argmax(dim=0).tolist()):
        axes.add_patch(
            Rectangle((k - 0.5, best - 0.5), 1, 1, fill=False, color=style.colour(1), lw=1.4)
        )
    style.hide_axes(axes)
    entropies = information.by_factor(information.factor_entropies)
    heads = [
        f"{style.literal(name)}\n$H$ = {style.format_number(h)}" for name, h in entropies.items()
    ]
    axes.set_xticks(range(columns), heads)
    axes.set_yticks(range(rows), [style.latent_name(j, names) for j in range(rows)])
    axes.tick_params(length=0)
    for j, label in enumerate(axes.get_yticklabels()):
        label.set_color(style.latent_colour(j, subspaces))
    bar = figure.colorbar(image, ax=axes, label=r"share $I(z_j; v_k)\,/\,H(v_k)$ (numbers: nats)")
    bar.outline.set_visible(False)
    style.mark_subspaces(figure, range(rows), subspaces)
    return figure
