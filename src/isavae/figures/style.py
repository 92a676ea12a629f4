"""Colours, fonts and sizes of all figures, and how figures are written to files.

Figures are built with matplotlib's objects on an Agg canvas: no pyplot, no state between two.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isavae.files import atomic_write

# Width of a full page of text, in inches.
PAGE = 6.75

# Width of one column of two, in inches.
COLUMN = 3.25

# Pixels per inch of a PNG: in a file, and on a page or in a notebook.
FILE_DPI, SCREEN_DPI = 200, 110

INK, MUTED, DATA, FAINT = "#1a1a1a", "#6b6b6b", "#b5b5b5", "#d9d9d9"

# Okabe and Ito's colours, told apart with every common colour blindness; darkest last.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6a3f", "#1a1a1a")

# One marker beside each colour, so that print in grey keeps the series apart.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

RED, GREEN, BLUE = "#d62728", "#2ca02c", "#1f4fd6"

# The paper's lines for the shapes of dSprites: red, green, blue.
SHAPES = {"ellipse": RED, "square": GREEN, "heart": BLUE}

# Maps of a mean code: red above zero, blue below, white at zero.
DIVERGING = "RdBu_r"

SEQUENTIAL = "cividis"

# Decorator for functions that build figures: sets fonts, line widths and sizes.
applied = rc_context(
    {
        "font.family": "STIXGeneral",
        "mathtext.fontset": "stix",
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.3,
        "lines.markersize": 4,
        "patch.linewidth": 0.6,
        "image.interpolation": "nearest",
        # Text stays text in a PDF; outlines in an SVG look the same on a machine without the font.
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        # Without a salt an SVG's identifiers, and so its bytes, would differ from run to run.
        "svg.hashsalt": "isavae",
    }
)


class ShownFigure(Figure):
    """A figure that a notebook shows without `%matplotlib inline`."""

    def _repr_png_(self) -> bytes:
        return encode(self, dpi=SCREEN_DPI)


def new_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Create an empty figure of a size in inches, with a canvas that needs no display."""
    figure = ShownFigure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Create a figure of a size in inches with one set of axes."""
    figure = new_figure(width, height)
    return figure, figure.subplots()


def hide_axes(axes: Axes) -> None:
    """Remove frame and ticks from axes that show an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def colour(position: int) -> str:
    """The colour of the series at a position; after the last the first comes again."""
    return SERIES[position % len(SERIES)]


def latent_name(latent: int, names: Sequence[str] = ()) -> str:
    r"""How a figure writes a latent: `$z_{1}$` for 0, or the name that it was given.

    >>> print(latent_name(0), latent_name(1, ["z1", "cost in $"]), latent_name(0, ["z1"]))
    $z_{1}$ cost in \$ $z_{1}$
    """
    number = latent + 1
    given = names[latent] if names else f"z{number}"
    return f"$z_{{{number}}}$" if given == f"z{number}" else literal(given)


def literal(text: str) -> str:
    r"""Text from a file as a figure shows it as it is: matplotlib reads what stands between two $.

    >>> print(literal("cost in $, or $x$"))
    cost in \$, or \$x\$
    """
    return text.replace("$", r"\$")


def format_number(value: float) -> str:
    """Three digits and a true minus sign, for labels."""
    return f"{value:.3g}".replace("-", "−")


def subspace_of(latent: int, subspaces: Sequence[slice]) -> int | None:
    """Which subspace of two or more latents a latent belongs to.

    >>> subspace_of(5, (slice(0, 4), slice(4, 8))), subspace_of(9, (slice(0, 4),))
    (1, None)
    """
    holds = (
        k
        for k, part in enumerate(subspaces)
        if part.start <= latent < part.stop and part.stop - part.start > 1
    )
    return next(holds, None)


def latent_colour(latent: int, subspaces: Sequence[slice]) -> str:
    """The colour of a latent's subspace; ink for a latent that stands alone."""
    part = subspace_of(latent, subspaces)
    return INK if part is None else colour(part)


def mark_subspaces(figure: Figure, latents: Sequence[int], subspaces: Sequence[slice]) -> None:
    """A legend above the figure for the colours of the subspaces that the latents belong to."""
    present = {subspace_of(latent, subspaces) for latent in latents}
    lines = [
        Line2D([], [], color=colour(part), lw=2.5, label=f"subspace {part + 1}")
        for part in range(len(subspaces))
        if part in present
    ]
    if lines:
        figure.legend(handles=lines, loc="outside upper center", ncols=6, handlelength=1)


# The formats, with the metadata that would make equal figures unequal files.
FORMATS = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}


@applied
def encode(figure: Figure, kind: str = "png", dpi: int = FILE_DPI) -> bytes:
    """A figure as the bytes of a PNG, SVG or PDF file; equal figures give equal bytes.

    Args:
        figure: The figure.
        kind: "png", "svg" or "pdf".
        dpi: Pixels per inch of a PNG (and of images inside the others).

    Raises:
        ValueError: The format is not one of the three.
    """
    if kind not in FORMATS:
        raise ValueError(
            f"a figure is written as {', '.join(FORMATS)}, not {kind!r}; give a name that ends so"
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=FORMATS[kind], bbox_inches="tight", dpi=dpi)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path, dpi: int = FILE_DPI) -> Path:
    """Write a figure atomically.

    Args:
        figure: The figure.
        path: The file; its ending `.png`, `.svg` or `.pdf` determines the format. Missing
            folders are created.
        dpi: As in `encode`.

    Raises:
        ValueError: The ending is none of the three.
    """
    content = encode(figure, Path(path).suffix.lstrip("."), dpi)
    with atomic_write(path) as file:
        file.write(content)
    return Path(path)
