"""Many similar surfaces seen from one side: the ray caster behind the drawn heads and cars.

A surface is a height over a flat chart: a point p of space has a cell of the chart and a level,
and lies inside where the level is below the height of its cell. For a head, the cell is the
direction from its centre and the level the distance; for a car, the cell is the place on its side
view and the level the distance from its middle plane. All objects of a data set share the chart,
so that the cells of the samples along a ray are computed once, and one row of a table answers for
all objects.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Chart = Callable[[Tensor], tuple[Tensor, Tensor]]  # points (..., 3) -> cells (...), levels (...)


def first_hits(
    chart: Chart,
    heights: Float[Tensor, "cells objects"],
    origins: Float[Tensor, "rays 3"],
    direction: Float[Tensor, "3"],
    length: float,
    samples: int,
) -> tuple[Float[Tensor, "rays objects 3"], Bool[Tensor, "rays objects"]]:
    """Where parallel rays first meet each object.

    Args:
        chart: Cell and level of points.
        heights: The height of every object over every cell.
        origins: Where the rays start, outside all objects.
        direction: Where they go, of length 1.
        length: How far they go.
        samples: How many points of a ray are looked at before the meeting point is interpolated.

    Returns:
        The point that is hit, and whether there is one.
    """
    step = length / samples * direction
    outside = torch.ones(len(origins), heights.shape[1], dtype=torch.bool)
    first = torch.zeros(len(origins), heights.shape[1], dtype=torch.uint8)  # sample that is inside
    for k in range(samples):
        cells, levels = chart(origins + k * step)
        outside &= levels[:, None] >= heights[cells]
        first += outside
    # the surface cuts the line from the last sample outside to the first inside
    inside = origins[:, None] + first[..., None] * step
    objects = torch.arange(heights.shape[1])
    (cell_in, level_in), (cell_out, level_out) = chart(inside), chart(inside - step)
    depth, above = heights[cell_in, objects] - level_in, level_out - heights[cell_out, objects]
    fraction = (depth / (depth + above)).nan_to_num(0).clamp(0, 1)
    return inside - fraction[..., None] * step, ~outside


def looking(azimuth: float | int, elevation: float | int) -> Float[Tensor, "3 3"]:
    """Axes of a camera that looks at the origin: rows right, up and towards the camera.

    The world has x to the right, y up and z to the front; azimuth turns the camera around y,
    elevation lifts it. Angles in radians.
    """
    a, e = torch.tensor(azimuth), torch.tensor(elevation)
    towards = torch.stack([a.sin() * e.cos(), e.sin(), a.cos() * e.cos()])
    right = torch.stack([a.cos(), torch.zeros(()), -a.sin()])
    return torch.stack([right, torch.linalg.cross(towards, right), towards])


def pixel_grid(size: int, half_width: float) -> tuple[Tensor, Tensor]:
    """Centres of the pixels of a square image: x to the right and y up, each flat."""
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(-at * half_width, at * half_width, indexing="ij")
    return x.ravel(), y.ravel()


def shrink(image: Float[Tensor, "pixels ..."], size: int, by: int) -> Float[Tensor, "small ..."]:
    """Average squares of `by` x `by` pixels of a flat image with `size` pixels a side."""
    rest = image.shape[1:]
    return image.view(size // by, by, size // by, by, *rest).mean(dim=(1, 3)).flatten(0, 1)
