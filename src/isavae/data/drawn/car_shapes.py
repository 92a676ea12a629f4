"""The shapes of the drawn cars: a rounded body, a cabin and four wheels, seeded."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isavae.data.seeded import uniforms

# The chart: height and length of the side view.
ROWS, COLUMNS, CELL = 112, 304, 1 / 120
GLASS, TYRE, RIM, PLATE = (0.2, 0.26, 0.33), (0.08, 0.08, 0.09), (0.7, 0.7, 0.72), (0.9, 0.9, 0.85)
LAMP, BRAKE = (1.0, 0.98, 0.85), (0.8, 0.05, 0.05)
ONE = torch.ones(())


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


@final
@dataclass(frozen=True)
class Plan:
    """Measures of every car, in half car lengths: z ahead from its middle, y up from the ground."""

    length: Tensor
    width: Tensor
    floor: Tensor
    belt: Tensor
    roof: Tensor
    nose: Tensor
    tail: Tensor
    ahead: Tensor
    behind: Tensor
    slope_ahead: Tensor
    slope_behind: Tensor
    wheel: Tensor
    axle_ahead: Tensor
    axle_behind: Tensor
    paint: Float[Tensor, "cars 3"]


@final
@dataclass(frozen=True)
class SideView:
    """Distances of the cells of the chart to the edges of every car: positive inside.

    Args:
        y: Height of the cells.
        z: Their place along the car.
        bonnet: Height of the body's top.
        body: Distance to the edge of the body.
        cabin: Distance to the edge of the cabin.
        hub: Distance from the nearer hub.
    """

    y: Float[Tensor, "cells 1"]
    z: Float[Tensor, "cells 1"]
    bonnet: Float[Tensor, "cells cars"]
    body: Float[Tensor, "cells cars"]
    cabin: Float[Tensor, "cells cars"]
    hub: Float[Tensor, "cells cars"]


def cars(seed: int = 0, n: int = 183) -> Cars:
    """Cars with seeded measures and colours.

    Args:
        seed: Decides all of them.
        n: How many.
    """
    plan = _plan(seed, n)
    view = _side_view(plan)
    body, cabin, tyre = _half_widths(plan, view)
    half_width = torch.maximum(torch.maximum(body, cabin), tyre)
    is_tyre = (tyre > 0) & (tyre >= torch.maximum(body, cabin))
    inner, outer = _colours(plan, view, is_tyre)
    # beyond the edges nothing is inside, even on the middle plane; the outermost cells of the chart
    # also answer for all that lies beyond it
    chart = torch.ones(ROWS, COLUMNS, dtype=torch.bool)
    chart[1:-1, 1:-1] = False
    solid = torch.where((half_width > 0) & ~chart.view(-1, 1), half_width, -torch.ones(()))
    return Cars(solid, _normals(half_width), inner, outer)


def _plan(seed: int, n: int) -> Plan:
    values = iter(torch.from_numpy(uniforms((32, n), seed)).float())

    def measure(low: float, high: float) -> Tensor:
        return low + (high - low) * next(values)

    length = measure(0.84, 1.08)
    return Plan(
        length=length,
        width=measure(0.41, 0.48),
        floor=measure(0.1, 0.17),
        belt=measure(0.43, 0.52),
        roof=measure(0.7, 0.9),
        nose=measure(0.0, 0.09),
        tail=measure(0.0, 0.06),
        ahead=length * measure(0.25, 0.48),
        # saloons end in a boot, estates in their cabin
        behind=-length * torch.where(measure(0.0, 1.0) > 0.5, 0.97, 0.55) * measure(0.93, 1.0),
        slope_ahead=measure(0.5, 1.3),
        slope_behind=measure(0.15, 0.9),
        wheel=measure(0.15, 0.19),
        axle_ahead=length * measure(0.56, 0.66),
        axle_behind=-length * measure(0.54, 0.66),
        paint=_paint(next(values), next(values), next(values)),
    )


def _side_view(car: Plan) -> SideView:
    y = ((torch.arange(ROWS) + 0.5) * CELL).repeat_interleave(COLUMNS)[:, None]
    z = ((torch.arange(COLUMNS) + 0.5 - COLUMNS / 2) * CELL).repeat(ROWS)[:, None]
    bonnet = car.belt - car.nose * ((z - car.ahead) / (car.length - car.ahead)).clamp(0, 1)
    boot = (car.length + car.behind).clamp_min(0.05)
    bonnet = bonnet - car.tail * ((car.behind - z) / boot).clamp(0, 1)
    windscreen = (car.ahead - (y - car.belt) * car.slope_ahead - z) / car.slope_ahead.hypot(ONE)
    backlight = (z - car.behind - (y - car.belt) * car.slope_behind) / car.slope_behind.hypot(ONE)
    return SideView(
        y=y,
        z=z,
        bonnet=bonnet,
        body=_corner(bonnet - y, y - car.floor, car.length - z, z + car.length),
        cabin=_corner(car.roof - y, windscreen, backlight, y - car.belt + 0.12),
        hub=torch.minimum(
            (z - car.axle_ahead).hypot(y - car.wheel), (z - car.axle_behind).hypot(y - car.wheel)
        ),
    )


def _half_widths(car: Plan, view: SideView) -> tuple[Tensor, Tensor, Tensor]:
    """Half width of body, cabin and wheels; 0 where they are not."""
    body = car.width * _rounded(view.body, 0.16)
    body = torch.where(_is_arch(car, view), body * 0.86, body)
    lean = 1 - 0.32 * ((view.y - car.belt) / (car.roof - car.belt)).clamp(0, 1)
    cabin = 0.93 * car.width * lean * _rounded(view.cabin, 0.1)
    below_bonnet = view.bonnet - 0.04 - view.y
    tyre = 0.97 * car.width * _rounded(torch.minimum(car.wheel - view.hub, below_bonnet), 0.03)
    return body, cabin, tyre


def _colours(car: Plan, view: SideView, is_tyre: Tensor) -> tuple[Tensor, Tensor]:
    """Colours near the middle plane (screens, grille, plate) and at the sides (windows, lamps)."""
    paint = car.paint.expand(len(view.y), *car.paint.shape)
    is_cabin = (view.cabin > -0.02) & (view.y > car.belt + 0.02) & (car.roof - view.y > 0.06)
    pillar = (view.z - (car.ahead + car.behind) / 2 * 0.9).abs() < 0.025
    window = is_cabin & (view.cabin > 0.05) & ~pillar
    front, rear = car.length - view.z < 0.09, view.z + car.length < 0.07
    high = (view.y > view.bonnet - 0.2) & (view.y < view.bonnet - 0.06) & (view.body < 0.09)
    grille = front & (view.y > car.floor + 0.06) & (view.y < view.bonnet - 0.1)
    plate = rear & (view.y > car.floor + 0.08) & (view.y < car.floor + 0.15)
    rim = is_tyre & (view.hub < 0.6 * car.wheel)
    inner = _over(paint, (is_cabin, GLASS), (is_tyre, TYRE), (grille, TYRE), (plate, PLATE))
    outer = _over(paint, (window, GLASS), (_is_arch(car, view) | is_tyre, TYRE), (rim, RIM))
    return inner, _over(outer, (front & high, LAMP), (rear & high, BRAKE))


def _is_arch(car: Plan, view: SideView) -> Tensor:
    return (view.hub < car.wheel * 1.2) & (view.body > 0.04)


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
