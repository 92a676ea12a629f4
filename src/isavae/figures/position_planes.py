"""Fig. 3: how the shape of the prior orients the plane of positions in latent space."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from isavae.figures import style
from isavae.figures.factor_panels import panels
from isavae.metrics import Codes, Information

# Letters of a title that fit in the width of a page, and inches from one line to the next.
TITLE, LINE = 108, 0.17


@final
@dataclass(frozen=True, eq=False)
class PositionPlane:
    """The two latents most informative about two factors, and the mean codes over those factors.

    Args:
        factors: Names of the two factors.
        latents: The latents, that of the first factor first.
        codes: Mean codes over the factors' classes.
        prior: Draws of the same two latents from the prior.
        names: The name of every latent of the model; by number if left out.
    """

    factors: tuple[str, str]
    latents: tuple[int, int]
    codes: Float[Tensor, "first second 2"]
    prior: Float[Tensor, "draws 2"]
    names: Sequence[str] = ()


def position_plane(
    codes: Codes,
    information: Information,
    prior: Float[Tensor, "draws latents"],
    names: Sequence[str] = (),
) -> PositionPlane:
    """The plane of the latents a and b most informative about the map's two factors (see `panels`).

    They are those with the largest I(z_a; first factor) + I(z_b; second factor).

    Args:
        codes: Codes with a grid.
        information: I(z_j; v_k) of the same codes, for both factors.
        prior: Draws from the model's prior.
        names: The name of every latent; by number if left out.

    Raises:
        ValueError: The grid has no two factors to map, or the codes have one latent.
    """
    factors = _mapped(codes)
    if codes.latents < 2:
        raise ValueError("the orientation of a plane needs two latents, but the model has one")
    nats = information.mutual[:, [information.factors.index(name) for name in factors]]
    pairs = nats[:, :1] + nats[:, 1]  # I(z_a; first factor) + I(z_b; second factor)
    best = int(pairs.fill_diagonal_(-math.inf).argmax())
    first, second = divmod(best, codes.latents)
    means = codes.conditional_means(factors)[..., [first, second]]
    return PositionPlane(factors, (first, second), means, prior[:, [first, second]], names)


def _mapped(codes: Codes) -> tuple[str, str]:
    grid = codes.grid
    if grid is not None:
        for panel in panels(grid):
            if len(panel.factors) == 2:
                return panel.factors[0], panel.factors[1]
    raise ValueError(
        "the orientation of a plane needs two ordered factors, such as posX and posY, but the data "
        f"set has {'none' if grid is None else grid.names}"
    )


@style.applied
def orientation(planes: Mapping[str, PositionPlane]) -> Figure:
    """The lattice of positions in latent space, one panel per model, up to three in a row (Fig. 3).

    Red lines have one value of the first factor (x), blue ones of the second (y); grey points are
    draws from the prior. Lines along the axes mean that the latents have found x and y.

    Args:
        planes: For each panel its title and plane. Long lines of a title are broken.
    """
    columns = min(len(planes), 3)
    rows = math.ceil(len(planes) / columns)
    titles = [_wrapped(title, TITLE // max(columns, 2)) for title in planes]
    side = style.PAGE / max(columns, 2) + LINE * max(title.count("\n") for title in titles)
    figure = style.new_figure(style.PAGE, rows * side + 0.3)
    cells = figure.subplots(rows, columns, squeeze=False).flatten()
    for empty in cells[len(planes) :]:
        empty.set_axis_off()
    for axes, title, plane in zip(cells, titles, planes.values(), strict=False):
        lattice = plane.codes.numpy()
        axes.scatter(*plane.prior.T.numpy(), s=1, color=style.DATA, lw=0, rasterized=True)
        for lines, shade in ((lattice, style.RED), (lattice.swapaxes(0, 1), style.BLUE)):
            axes.add_collection(LineCollection(list(lines), colors=shade, linewidths=0.8))
        reach = 1.25 * float(np.nanmax(abs(lattice)))
        axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        axes.set_title(title, fontsize=8)
        axes.set_xlabel(style.latent_name(plane.latents[0], plane.names))
        axes.set_ylabel(style.latent_name(plane.latents[1], plane.names))
    first, second = next(iter(planes.values())).factors
    cells[0].plot([], [], color=style.RED, label=f"one {first}")
    cells[0].plot([], [], color=style.BLUE, label=f"one {second}")
    cells[0].scatter([], [], s=6, color=style.DATA, label="prior")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _wrapped(title: str, width: int) -> str:
    lines = (textwrap.fill(line, width) for line in style.literal(title).splitlines())
    return "\n".join(lines)
