"""Fig. 2: the unit balls of Lp-nested norms in three dimensions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from isavae.distributions import LpNested, LpTree
from isavae.figures import style

# Points of a surface along a half circle; with fewer, round edges show bands.
STEPS = 140


@style.applied
def iso_contours(exponents: Sequence[float] = (1.0, 2.0, 9.0)) -> Figure:
    """Iso-contours f(z) = 1 of Eq. 6, for each pair of exponents p0 and p1 (Fig. 2).

    The tree is p0[z1, p1*2]: z1 beside a subspace of z2 and z3. Rows are p0, columns p1.

    Args:
        exponents: Values that both exponents take.
    """
    count = len(exponents)
    figure = style.new_figure(style.PAGE * 0.8, style.PAGE * 0.8, layout=None)
    for row, p0 in enumerate(exponents):
        for column, p1 in enumerate(exponents):
            place = (column / count, 1 - (row + 1) / count, 1 / count, 1 / count)
            axes = Axes3D(figure, place, computed_zorder=False)
            figure.add_axes(axes)
            x, y, z = unit_surface(LpTree.parse(f"{p0}[z, {p1}*2]"))
            shade = LightSource(azdeg=315, altdeg=50)
            axes.plot_surface(x, y, z, rstride=1, cstride=1, color="#7fb2d6", lightsource=shade,
                              linewidth=0, antialiased=False, rasterized=True)  # fmt: skip
            axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), box_aspect=(1, 1, 1))
            axes.set_axis_off()
            axes.view_init(elev=22, azim=-55)
            axes.text2D(
                0.5, 0.02, f"$p_0={p0:g}$, $p_1={p1:g}$", transform=axes.transAxes, ha="center"
            )
    return figure


def unit_surface(tree: LpTree, steps: int = STEPS) -> tuple[Float[np.ndarray, "polar round"], ...]:
    """Points with f(z) = 1, as three coordinates on a grid of directions.

    Args:
        tree: A tree with three leaves.
        steps: Points along a half circle.
    """
    # Just beside the poles, where a facet would have no normal to shade it by.
    polar = np.linspace(1e-3, np.pi - 1e-3, steps)[:, None]
    around = np.linspace(0, 2 * np.pi, 2 * steps + 1)[None]
    direction = np.stack(np.broadcast_arrays(
        np.cos(polar), np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)
    ), -1)  # fmt: skip
    norm = LpNested(tree).norm(torch.from_numpy(direction)).numpy()
    return tuple(np.moveaxis(direction / norm[..., None], -1, 0))
