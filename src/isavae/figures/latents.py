"""Latents against the known factors: the sheets of Figs. 8-16."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from isavae.data import FactorGrid
from isavae.errors import counted
from isavae.figures import style
from isavae.figures.factor_panels import Panel, panels
from isavae.metrics import Codes, Information

# Inches: height of a row, and the margins above, below, to the left and to the right of the rows.
ROW, TOP, BOTTOM, LEFT, RIGHT = 0.78, 0.5, 0.62, 0.5, 0.05

# Inches: width of the column of a map, where the page has room for all columns.
COLUMN = 1.2

# Widths of other columns, beside that of a map: a curve, the bars of a factor, those of all.
CURVE, BAR, BARS = 2.0, 0.6, 1.8

# Gap between two columns, as a share of their mean width.
GAP = 0.25

# Values of a factor that are all named below a curve.
MOST_NAMES = 4
# One line of short entries.
LEGEND = {
    "ncols": 4,
    "columnspacing": 0.8,
    "handlelength": 0.9,
    "handletextpad": 0.3,
    "borderpad": 0,
}


@style.applied
def latent_sheet(
    codes: Codes,
    information: Information,
    subspaces: Sequence[slice] = (),
    rows: int = 10,
    names: Sequence[str] = (),
) -> Figure:
    """The latents against the factors (Figs. 8-16): one row per latent, most informative first.

    A row has the latent's mean code as a red-blue map over two factors, as curves over the others
    (see `panels`), and its mutual information with each factor in nats. Colours and curves have
    the same limits in every row, so that a latent which is not used is white and flat.

    Args:
        codes: Codes with a grid, complete or not.
        information: I(z_j; v_k) of the same codes, such as `mig(codes).information`.
        subspaces: Slices of the latents that belong together; each is marked by a colour.
        rows: How many latents are shown at most; a line below states what the others carry.
        names: The name of every latent, such as `TrainedModel.names`.

    Raises:
        ValueError: The codes have no grid, or `information` is not about their latents.
    """
    grid, nats = codes.grid, information.mutual.detach().cpu()
    if grid is None:
        raise ValueError("A latent sheet needs a grid of factors, but the codes have none.")
    if len(nats) != codes.latents:
        raise ValueError(
            f"A latent sheet needs one row of information for each of {codes.latents} latents, "
            f"but got {len(nats)}: pass the information of the same codes."
        )
    order = nats.sum(1).argsort(descending=True, stable=True).tolist()
    shown, hidden, drawn = order[:rows], order[rows:], panels(grid)
    surfaces = [_surface(codes, panel)[..., shown].numpy() for panel in drawn]
    limit = max(float(np.nanmax(abs(surface))) for surface in surfaces) or 1.0
    figure, axes = _layout(len(shown), drawn, len(information.factors))
    for row, latent in enumerate(shown):
        _name(axes[row, 0], latent, subspaces, names)
        for panel, surface, place in zip(drawn, surfaces, axes[row], strict=False):
            if len(panel.factors) == 2:
                _map(place, surface[..., row], limit, panel)
            else:
                _curve(place, surface[..., row], limit, panel, grid)
        _bars(axes[row, -1], nats[latent].tolist(), float(nats.max()) or 1.0)
    _explain(axes, drawn, grid, information.factors, limit)
    style.mark_subspaces(figure, shown, subspaces)
    if hidden:
        most = float(nats[hidden].max())
        rest = f"{counted(len(hidden), 'more latent')}, at most {most:.2g} nats with a factor"
        figure.text(LEFT / figure.get_figwidth(), 0, rest, color=style.MUTED, va="bottom")
    return figure


def _surface(codes: Codes, panel: Panel) -> Tensor:
    """Mean codes over a panel's axes; for lines, the class that has a line comes first."""
    lines = () if panel.lines is None else (panel.lines,)
    return codes.conditional_means((*lines, *panel.factors))


def _layout(rows: int, drawn: Sequence[Panel], factors: int) -> tuple[Figure, np.ndarray]:
    """Axes of all rows; where few columns are drawn, on a figure that is narrower than a page."""
    columns = [1.0 if len(panel.factors) == 2 else CURVE for panel in drawn]
    columns.append(min(BAR * factors, BARS))
    gaps = GAP * (len(columns) - 1) / len(columns)
    width = min(LEFT + COLUMN * sum(columns) * (1 + gaps) + RIGHT, style.PAGE)
    height = TOP + rows * ROW + BOTTOM
    figure = style.new_figure(width, height, layout=None)
    axes = figure.subplots(
        rows,
        len(drawn) + 1,
        squeeze=False,
        gridspec_kw={
            "width_ratios": columns,
            "left": LEFT / width,
            "right": 1 - RIGHT / width,
            "top": 1 - TOP / height,
            "bottom": BOTTOM / height,
            "hspace": 0.14,
            "wspace": GAP,
        },
    )
    for axis in axes[:-1].flat:
        axis.tick_params(labelbottom=False)
    return figure, axes


def _name(axes: Axes, latent: int, subspaces: Sequence[slice], names: Sequence[str]) -> None:
    """The latent's name to the left of its row, and a bar in the colour of its subspace."""
    shade = style.latent_colour(latent, subspaces)
    place = axes.get_position()
    middle = (place.y0 + place.y1) / 2
    figure = axes.figure
    inch = place.x0 / LEFT
    name = style.latent_name(latent, [_cut(each) for each in names])
    if name == style.latent_name(latent):
        figure.text(0.11 * inch, middle, name, size=11, color=shade, va="center")
    else:  # a word stands along the row
        along = {"rotation": 90, "linespacing": 0.9, "ha": "left", "va": "center"}
        figure.text(0.05 * inch, middle, name, size=7, color=shade, **along)
    if style.subspace_of(latent, subspaces) is not None:
        figure.add_artist(Line2D([0, 0], [place.y0, place.y1], color=shade, lw=2.5))


def _cut(name: str) -> str:
    """A name in one or two lines of the height of a row."""
    return "\n".join(textwrap.wrap(name, 14, max_lines=2, placeholder="…"))


def _map(axes: Axes, codes: np.ndarray, limit: float, panel: Panel) -> None:
    aspect = "equal" if panel.factors == ("posX", "posY") else "auto"
    axes.imshow(codes.T, cmap=style.DIVERGING, vmin=-limit, vmax=limit, aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)


def _curve(axes: Axes, codes: np.ndarray, limit: float, panel: Panel, grid: FactorGrid) -> None:
    axes.axhline(0, color=style.FAINT, lw=0.6, zorder=0)
    ordered = panel.factors[0] in (grid.ordered or ())
    dash, marker = ("-", "") if ordered else ("", "o")
    if panel.lines is None:
        axes.plot(codes, color=style.INK, ls=dash, marker=marker, ms=2.5)
    else:
        for position, name in enumerate(grid.class_names(panel.lines)):
            shade = style.SHAPES.get(name, style.colour(position))
            axes.plot(
                codes[position],
                color=shade,
                label=style.literal(name),
                ls=dash,
                marker=marker,
                ms=2.5,
            )
    axes.set_ylim(-1.06 * limit, 1.06 * limit)
    axes.set_yticks([-_round(limit), 0, _round(limit)])


def _bars(axes: Axes, nats: Sequence[float], highest: float) -> None:
    axes.bar(range(len(nats)), nats, width=0.7, color=style.MUTED)
    axes.set_xticks(range(len(nats)))
    axes.set_ylim(0, 1.06 * highest)
    axes.set_yticks([0, _round(highest)])


def _round(limit: float) -> float:
    """The limit cut to one digit (or to a half below 2), so that its tick lies inside the axes.

    >>> _round(0.97), _round(1.7), _round(0.0)
    (0.9, 1.5, 0.0)
    """
    if limit <= 0:
        return 0.0
    power = math.floor(math.log10(limit))
    digit = limit / 10**power
    return float(f"{math.floor(2 * digit) / 2 if digit < 2 else math.floor(digit)}e{power}")


def _explain(
    axes: np.ndarray, drawn: Sequence[Panel], grid: FactorGrid, factors: Sequence[str], limit: float
) -> None:
    """Writes axis names below the last row, units and the legend of the lines above the first."""
    for panel, first, last in zip(drawn, axes[0], axes[-1], strict=False):
        if len(panel.factors) == 2:
            last.set_xlabel(f"{style.literal(panel.factors[0])} $\\rightarrow$", labelpad=16)
            for place in axes[:, 0]:
                down = style.literal(panel.factors[1])
                place.set_ylabel(f"$\\leftarrow$ {down}", fontsize=7, labelpad=2)
            _scale(first, limit)
        else:
            names = [style.literal(name) for name in grid.class_names(panel.factors[0])]
            last.set_xlabel(style.literal(panel.factors[0]))
            ends = [0, len(names) - 1] if len(names) > MOST_NAMES else range(len(names))
            for place in axes[:, list(axes[0]).index(first)]:
                place.set_xticks(ends, [names[k] for k in ends])
            if panel.lines is None:
                first.set_title("mean code", fontsize=8, loc="left", color=style.MUTED)
            else:
                first.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.97), **LEGEND)
    axes[0, -1].set_title("information (nats)", fontsize=8, loc="left", color=style.MUTED)
    shown = [style.literal(name) for name in factors]
    axes[-1, -1].set_xticks(range(len(factors)), shown, rotation=30, ha="right")


def _scale(axes: Axes, limit: float) -> None:
    """The colours of the maps, as a thin bar above the first one."""
    bar = axes.inset_axes((0, 1.12, 1, 0.09))
    bar.imshow(
        np.linspace(-1, 1, 64)[None],
        cmap=style.DIVERGING,
        aspect="auto",
        extent=(-limit, limit, 0, 1),
    )
    bar.set_yticks([])
    bar.set_xticks([-_round(limit), 0, _round(limit)])
    bar.tick_params(labeltop=True, labelbottom=False, top=False, bottom=False, pad=0, labelsize=7)
