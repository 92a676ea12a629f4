"""Which factors a latent is drawn against, and its mean code over their classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import FactorGrid

MOST_LINES = 4
"""A factor without order is told apart by coloured lines up to this many classes."""


@final
@dataclass(frozen=True)
class Panel:
    """One picture of a latent: the factors on its axes, and the one that has a line per class."""

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
    lines = next((name for name in classes if curves and size[name] <= MOST_LINES), None)
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


def conditional_means(
    means: Float[Tensor, "n latents"], grid: FactorGrid, factors: Sequence[str]
) -> Float[Tensor, "... latents"]:
    """The mean code of every combination of the factors' classes, over all other factors.

    Rows with an unknown class among the factors are left out. A combination without a row is nan.

    >>> conditional_means(torch.arange(6.0)[:, None], FactorGrid(("a", "b"), (2, 3)), ["b"])
    tensor([[1.5000],
            [2.5000],
            [3.5000]], dtype=torch.float64)
    """
    sizes = [grid.sizes[grid.position(factor)] for factor in factors]
    cell, known = torch.zeros(len(grid), dtype=torch.int64), torch.ones(len(grid), dtype=torch.bool)
    for size, factor in zip(sizes, factors, strict=True):
        column = torch.from_numpy(grid.column(factor))
        cell, known = cell * size + column, known & (column >= 0)
    cell, codes = cell[known], means.detach().cpu()[known].double()
    count = torch.bincount(cell, minlength=math.prod(sizes))
    total = torch.zeros(len(count), codes.shape[1], dtype=torch.float64).index_add_(0, cell, codes)
    return (total / count[:, None]).reshape(*sizes, -1)


def class_names(grid: FactorGrid, factor: str) -> tuple[str, ...]:
    """What the classes of a factor are called: their categories, else their numbers from 0.

    >>> class_names(FactorGrid(("shape", "x"), (2, 3), categories={"shape": ("b", "a")}), "shape")
    ('b', 'a')
    """
    classes = grid.categories.get(factor, range(grid.sizes[grid.position(factor)]))
    return tuple(name if isinstance(name, str) else f"{name:.3g}" for name in classes)
