"""The factors that a latent is plotted against."""

from dataclasses import dataclass
from typing import final

from isavae.data import FactorGrid


@final
@dataclass(frozen=True)
class Panel:
    """One plot of a latent: the factors on its axes, and the factor with one line per class."""

    factors: tuple[str, ...]
    lines: str | None = None


def panels(grid: FactorGrid) -> tuple[Panel, ...]:
    """A map over two factors and a curve over each of the others, as far as the grid has them.

    The map is over `posX` and `posY` where both vary, else over the two largest ordered factors.
    The finest curve has one line for each class of an unordered factor of at most four classes:
    for dSprites, the shapes over the orientation.

    >>> sprites = FactorGrid(
    ...     names=("shape", "scale", "orientation", "posX", "posY"),
    ...     sizes=(3, 6, 40, 32, 32),
    ...     categories={"shape": ("square", "ellipse", "heart")},
    ... )
    >>> for panel in panels(sprites):
    ...     print(panel)
    Panel(factors=('posX', 'posY'), lines=None)
    Panel(factors=('scale',), lines=None)
    Panel(factors=('orientation',), lines='shape')
    """
    size = {name: size for name, size in zip(grid.names, grid.sizes, strict=True) if size > 1}
    ordered = [name for name in size if name in (grid.ordered or ())]
    classes = [name for name in size if name not in ordered]
    mapped = _mapped(ordered, size)
    curves = [name for name in ordered if name not in mapped]
    finest = max(curves, key=size.__getitem__, default=None)
    lines = grid.grouping_factor(classes) if curves else None
    return (
        *([Panel(mapped)] if mapped else []),
        *(Panel((name,), lines if name == finest else None) for name in curves),
        *(Panel((name,)) for name in classes if name != lines),
    )


def _mapped(ordered: list[str], size: dict[str, int]) -> tuple[str, ...]:
    if {"posX", "posY"} <= set(ordered):
        return ("posX", "posY")
    largest = sorted(ordered, key=size.__getitem__, reverse=True)[:2]
    return tuple(name for name in ordered if name in largest) if len(largest) == 2 else ()
