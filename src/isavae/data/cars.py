"""`cars3d-drawn`: small cars seen from around, on the factor grid of the Cars3D data set.

A stand-in with that grid, not that data set: every car is a rounded body, a cabin and four wheels,
drawn from a dozen seeded measures and two colours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import radians
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isavae.data.cache import cached
from isavae.data.chance import uniforms
from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.progress import progress
from isavae.data.surfaces import first_hits, looking, pixel_grid, shrink

GRID = FactorGrid(
    names=("elevation", "azimuth", "object"),
    sizes=(4, 24, 183),
    ordered=("elevation", "azimuth"),
)
ROWS, COLUMNS, CELL = 112, 304, 1 / 120  # the chart: height and length of the side view
SIZE, FINE = 64, 2  # pixels along an edge, and rays per pixel along an edge
ELEVATIONS = (6, 16, 26, 36)  # degrees
GLASS, TYRE, LAMP, BRAKE = (
    (0.2, 0.26, 0.33),
    (0.08, 0.08, 0.09),
    (1.0, 0.98, 0.85),
    (0.8, 0.05, 0.05),
)


@final
@dataclass(frozen=True)
class Cars:
    """Cars over the chart of their side view; lengths in half car lengths.

    Args:
        half_width: Distance of the side from the middle plane.
        normal: Outward direction on the right side: across, up, ahead.
        inner: Colours near the middle plane.
        outer: Colours near the sides.
    """

    half_width: Float[Tensor, "cells cars"]
    normal: Float[Tensor, "cells cars 3"]
    inner: Float[Tensor, "cells cars 3"]
    outer: Float[Tensor, "cells cars 3"]


def side_chart(p: Float[Tensor, "*n 3"]) -> tuple[Tensor, Tensor]:
    """Cell of a point on the side view; distance from the middle plane."""
    row = (p[..., 1] / CELL).long().clamp_(0, ROWS - 1)
    column = (p[..., 2] / CELL + COLUMNS / 2).long().clamp_(0, COLUMNS - 1)
    return row * COLUMNS + column, p[..., 0].abs()


def cars(seed: int = 0, n: int = 183) -> Cars:
    """Cars with seeded measures and colours.

    Args:
        seed: Decides all of them.
        n: How many.
    """
    vary = iter(torch.from_numpy(uniforms((32, n), seed)).float())

    def measure(low: float, high: float) -> Tensor:
        return low + (high - low) * next(vary)

    row = torch.arange(ROWS).repeat_interleave(COLUMNS)
    column = torch.arange(COLUMNS).repeat(ROWS)
    y, z = ((row + 0.5) * CELL)[:, None], ((column + 0.5 - COLUMNS / 2) * CELL)[:, None]

    length, width = measure(0.84, 1.08), measure(0.41, 0.48)
    floor, belt, roof = measure(0.1, 0.17), measure(0.43, 0.52), measure(0.7, 0.9)
    nose, tail = measure(0.0, 0.09), measure(0.0, 0.06)
    ahead, behind = (
        length * measure(0.25, 0.48),
        -length
        * torch.lerp(torch.full((n,), 0.55), torch.full((n,), 0.97), (next(vary) > 0.5).float())
        * measure(0.93, 1.0),
    )
    slope_ahead, slope_behind = measure(0.5, 1.3), measure(0.15, 0.9)
    wheel = measure(0.15, 0.19)
    axle_ahead, axle_behind = length * measure(0.56, 0.66), -length * measure(0.54, 0.66)

    bonnet = belt - nose * ((z - ahead) / (length - ahead)).clamp(0, 1)
    bonnet = bonnet - tail * ((behind - z) / (length + behind).clamp_min(0.05)).clamp(0, 1)
    body_edge = _corner(bonnet - y, y - floor, length - z, z + length)
    windscreen = (ahead - (y - belt) * slope_ahead - z) / (1 + slope_ahead**2).sqrt()
    backlight = (z - behind - (y - belt) * slope_behind) / (1 + slope_behind**2).sqrt()
    cabin_edge = _corner(roof - y, windscreen, backlight, y - belt + 0.12)
    lean = 1 - 0.32 * ((y - belt) / (roof - belt)).clamp(0, 1)
    hub = torch.minimum((z - axle_ahead).hypot(y - wheel), (z - axle_behind).hypot(y - wheel))

    body = width * _rounded(body_edge, 0.16)
    arch = (hub < wheel * 1.2) & (body_edge > 0.04)
    body = torch.where(arch, body * 0.86, body)
    cabin = 0.93 * width * lean * _rounded(cabin_edge, 0.1)
    tyre = 0.97 * width * _rounded(torch.minimum(wheel - hub, bonnet - 0.04 - y), 0.03)
    half_width = torch.maximum(torch.maximum(body, cabin), tyre)

    paint = _paint(next(vary), next(vary), next(vary)).expand(len(y), n, 3)
    is_cabin = (cabin_edge > -0.02) & (y > belt + 0.02)
    pillar = (z - (ahead + behind) / 2 * 0.9).abs() < 0.025
    window = is_cabin & (cabin_edge > 0.05) & (roof - y > 0.06) & ~pillar
    is_tyre = (tyre > 0) & (tyre >= torch.maximum(body, cabin))
    rim = is_tyre & (hub < 0.6 * wheel)
    outer = _over(paint, (window, GLASS), (arch, TYRE), (is_tyre, TYRE), (rim, (0.7, 0.7, 0.72)))
    inner = _over(paint, (is_cabin & (roof - y > 0.06), GLASS), (is_tyre, TYRE))
    front, rear = length - z < 0.09, z + length < 0.07
    high = (y > bonnet - 0.2) & (y < bonnet - 0.06) & (body_edge < 0.09)
    grille = front & (y > floor + 0.06) & (y < bonnet - 0.1)
    plate = rear & (y > floor + 0.08) & (y < floor + 0.15)
    inner = _over(inner, (grille, (0.12, 0.12, 0.13)), (plate, (0.9, 0.9, 0.85)))
    outer = _over(outer, (front & high, LAMP), (rear & high, BRAKE))
    # beyond the edges nothing is inside, even on the middle plane; the outermost cells of the chart
    # also answer for all that lies beyond it
    rim_of_chart = (row == 0) | (row == ROWS - 1) | (column == 0) | (column == COLUMNS - 1)
    solid = torch.where((half_width > 0) & ~rim_of_chart[:, None], half_width, -torch.ones(()))
    return Cars(solid, _normals(half_width), inner, outer)


def _corner(*edges: Tensor) -> Tensor:
    """Smallest of several distances to edges, with rounded corners."""
    together = torch.stack(
        [edge.expand(torch.broadcast_shapes(*(e.shape for e in edges))) for edge in edges]
    )
    return -torch.logsumexp(-24 * together, dim=0) / 24


def _rounded(edge: Tensor, radius: float) -> Tensor:
    """Quarter circle: 0 at the edge, 1 from `radius` on."""
    return (1 - (1 - (edge / radius).clamp(0, 1)) ** 2).sqrt()


def _paint(hue: Tensor, grey: Tensor, light: Tensor) -> Float[Tensor, "cars 3"]:
    thirds = torch.tensor([0.0, 1 / 3, 2 / 3])
    vivid = 0.5 + 0.5 * torch.cos(2 * torch.pi * (hue[:, None] - thirds))
    saturation = torch.where(grey < 0.35, 0.05, 0.85)[:, None]
    return torch.lerp(torch.ones(()), vivid, saturation) * (0.25 + 0.7 * light[:, None])


def _over(colour: Tensor, *layers: tuple[Bool[Tensor, "cells cars"], tuple]) -> Tensor:
    for where, paint in layers:
        colour = torch.where(where[..., None], torch.tensor(paint), colour)
    return colour


def _normals(half_width: Float[Tensor, "cells cars"]) -> Float[Tensor, "cells cars 3"]:
    up, ahead = torch.gradient(half_width.view(ROWS, COLUMNS, -1), spacing=CELL, dim=(0, 1))
    normal = torch.stack([torch.ones_like(up), -up, -ahead], dim=-1)
    return torch.nn.functional.normalize(normal, dim=-1).flatten(0, 1)


def render(some: Cars, azimuth: float | int, elevation: float | int) -> Float[Tensor, "cars 3 y x"]:
    """Cars from one side: 0 is black, 1 white.

    Args:
        some: The cars.
        azimuth: Degrees by which the camera stands to the right of the car's front.
        elevation: Degrees by which it is lifted.
    """
    right, up, towards = camera = looking(radians(azimuth), radians(elevation))
    fine = SIZE * FINE
    x, y = pixel_grid(fine, half_width=1.14)
    origins = x[:, None] * right + y[:, None] * up + 1.3 * towards
    origins[:, 1] += 0.32  # the middle of a car's height
    ground = origins - (origins[:, 1:2] / towards[1]) * towards
    shadow = 0.55 * torch.exp(-((ground[:, 0] / 0.5) ** 6) - (ground[:, 2] / 1.05) ** 6)
    near = _meets_box(origins, towards, torch.tensor([[-0.5, 0.0, -1.12], [0.5, 0.94, 1.12]]))
    points, found = first_hits(side_chart, some.half_width, origins[near], -towards, 2.6, 36)
    cells, levels = side_chart(points)
    which = torch.arange(some.half_width.shape[1])
    normal = some.normal[cells, which]
    normal[..., 0].copysign_(points[..., 0])
    at_side = levels > 0.5 * some.half_width.amax(dim=0)
    colour = torch.where(at_side[..., None], some.outer[cells, which], some.inner[cells, which])
    sun = torch.nn.functional.normalize(torch.tensor([0.45, 0.8, 0.4]) @ camera, dim=0)
    halfway = torch.nn.functional.normalize(sun + towards, dim=0)
    diffuse = (normal @ sun).clamp_min(0) * 0.65 + 0.2 + 0.2 * normal[..., 1]
    gloss = 0.4 * (normal @ halfway).clamp_min(0).square().square().square().square().square()
    car = colour * diffuse[..., None] + gloss[..., None]
    picture = (1 - shadow)[:, None, None].repeat(1, len(which), 3)
    picture[near] = torch.where(found[..., None], car.clamp(0, 1), picture[near])
    picture = shrink(picture, fine, FINE)
    return picture.permute(1, 2, 0).unflatten(2, (SIZE, SIZE)).sqrt()


def _meets_box(origins: Tensor, towards: Tensor, box: Float[Tensor, "2 3"]) -> Tensor:
    """Which lines along `towards` pass through a box, as positions."""
    along = torch.where(towards.abs() < 1e-6, torch.full((), 1e-6), towards)
    ends = (box[:, None] - origins) / along
    enter, leave = ends.amin(dim=0).amax(dim=-1), ends.amax(dim=0).amin(dim=-1)
    return torch.nonzero(enter < leave)[:, 0]


def cars3d_drawn() -> ImageDataset:
    """All the cars: colour, 64 x 64, in the row order of the Cars3D data set."""
    return cached("cars3d-drawn/1", (3, SIZE, SIZE), _pictures(), GRID)


def _pictures() -> Iterator[np.ndarray]:
    """The images of all cars, one view after the other."""
    fleet = cars()
    views = [(e, 15 * a) for e in ELEVATIONS for a in range(24)]
    for elevation, azimuth in progress(views, len(views), "drawing cars3d-drawn"):
        yield render(fleet, azimuth, elevation).mul(255).round().byte().numpy()
