"""Mutual information of latents (or subspaces) with factors, as a matrix."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from isavae.figures.style import (
    INK,
    PAGE,
    SEQUENTIAL,
    colour,
    format_number,
    hide_axes,
    in_style,
    latent_name,
    mark_subspaces,
    new_figure,
    subspace_of,
)
from isavae.metrics import Information

ROW, COLUMN, MARGIN = 0.22, 0.85, 1.3
"""Inches: height of a row, width of a column, room for names and the colour scale."""

LEAST = 0.005
"""Numbers below this many nats are omitted."""


@in_style
def information_matrix(
    information: Information,
    subspaces: Sequence[slice] = (),
    names: Sequence[str] | None = None,
) -> Figure:
    """I(z_j; v_k) in nats, one row per latent; the colour is its share of the factor's entropy.

    The most informative latent of each factor is framed.

    Args:
        information: The matrix, such as `mig(codes).information`.
        subspaces: Slices of the latents that belong together; each is marked by a colour.
        names: Names of the rows; by default those of the latents.

    Raises:
        ValueError: There is not one name a row.
    """
    nats, shares = information.mutual.tolist(), information.normalized.clamp(0, 1).tolist()
    rows, columns = len(nats), len(information.factors)
    names = [latent_name(j) for j in range(rows)] if names is None else list(names)
    if len(names) != rows:
        raise ValueError(f"A matrix of {rows} rows needs as many names, but got {len(names)}.")
    width = min(PAGE, MARGIN + COLUMN * columns)
    figure = new_figure(width, MARGIN + ROW * rows)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for j, row in enumerate(nats):
        for k, value in enumerate(row):
            if value >= LEAST:
                shade = "white" if shares[j][k] < 0.5 else INK
                axes.text(k, j, f"{value:.2f}", ha="center", va="center", color=shade, size=7)
    for k, best in enumerate(information.mutual.argmax(dim=0).tolist()):
        axes.add_patch(Rectangle((k - 0.5, best - 0.5), 1, 1, fill=False, color=colour(1), lw=1.4))
    hide_axes(axes)
    entropies = information.factor_entropies.tolist()
    heads = [
        f"{f}\n$H$ = {format_number(h)}"
        for f, h in zip(information.factors, entropies, strict=True)
    ]
    axes.set_xticks(range(columns), heads)
    axes.set_yticks(range(rows), names)
    axes.tick_params(length=0)
    for j, label in enumerate(axes.get_yticklabels()):
        part = subspace_of(j, subspaces)
        label.set_color(INK if part is None else colour(part))
    bar = figure.colorbar(image, ax=axes, label=r"share $I(z_j; v_k)\,/\,H(v_k)$ (numbers: nats)")
    bar.outline.set_visible(False)
    mark_subspaces(figure, range(rows), subspaces)
    return figure
