"""`rooms3d-drawn`: an object in a room, on the factor grid of the 3D Shapes data set.

A stand-in with that grid, not that data set. The camera goes around an object that stands on the
floor before three walls. Colours do not change where light falls, so that only 480 views are drawn
and kept, each as the light that floor, walls and object send to every pixel; the colours are laid
over them when a batch is read.
"""

from collections.abc import Callable, Iterator
from math import atan2, hypot, radians
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.cache import cached
from isavae.data.dataset import ImageDataset
from isavae.data.drawn.surfaces import looking, pixel_grid, shrink
from isavae.data.factors import FactorGrid
from isavae.data.grids import ROOMS3D as GRID
from isavae.data.places import cache_file
from isavae.data.read_progress import progress

Field: TypeAlias = Callable[[Tensor], Tensor]  # points (..., 3) -> distances (...)

VIEWS = FactorGrid(GRID.names[3:], GRID.sizes[3:], categories=GRID.categories)
# Pixels and rays per pixel along one side.
SIZE, FINE = 64, 3
SCALES = np.linspace(0.75, 1.25, 8)
# Degrees.
ORIENTATIONS = np.linspace(-30, 30, 15)

# The camera: distance, height, and height of what it looks at.
EYE, HEIGHT, AIM = 7.0, 2.7, 0.9
# Half width of the image at distance 1.
OPEN = 0.36
# Distance of the walls from the middle.
WALL = 4.6
# Radius of the edges.
ROUND = 0.06
# Steps along a ray.
STEPS = 48
SUN = torch.nn.functional.normalize(torch.tensor([-0.45, 1.0, 0.65]), dim=0)


def distance(shape: str, scale: float | int, p: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
    """Distance of points from an object that stands on the floor; negative inside.

    Args:
        shape: One of the four.
        scale: Its size.
        p: Across, up, ahead.
    """
    s = 0.9 * scale
    half = {"cube": s, "cylinder": s, "sphere": 1.1 * s, "capsule": 1.3 * s}[shape]
    x, y, z = p[..., 0], p[..., 1] - half, p[..., 2]
    if shape == "cube":
        edges = torch.stack([x.abs(), y.abs(), z.abs()], dim=-1) - (s - ROUND)
    elif shape == "cylinder":
        edges = torch.stack([x.hypot(z), y.abs()], dim=-1) - (s - ROUND)
    else:
        radius = half if shape == "sphere" else half / 2
        spine = y - y.clamp(radius - half, half - radius)
        return (x.square() + z.square() + spine.square()).sqrt() - radius
    return edges.clamp_min(0).norm(dim=-1) + edges.amax(dim=-1).clamp_max(0) - ROUND


def render(shape: str, scale: float | int, orientation: float | int) -> Float[Tensor, "4 y x"]:
    """The light that floor, walls and object would send if they were white, and the gloss.

    Args:
        shape: One of the four.
        scale: Its size.
        orientation: Degrees by which the camera has gone around.

    Returns:
        Square roots of light, 0..1, as a screen shows it.
    """
    camera = looking(radians(orientation), atan2(HEIGHT - AIM, EYE))
    fine = SIZE * FINE
    x, y = pixel_grid(fine, OPEN)
    rays = torch.stack([x, y, -torch.ones_like(x)], dim=1) @ camera
    rays = torch.nn.functional.normalize(rays, dim=1)
    eye = torch.tensor([0.0, AIM, 0.0]) + hypot(EYE, HEIGHT - AIM) * camera[2]
    far, room_normal = _room(eye, rays)

    def from_object(p: Tensor) -> Tensor:
        return distance(shape, scale, p)

    along = torch.zeros(len(rays))
    for _ in range(STEPS):
        along = torch.minimum(along + from_object(eye + along[:, None] * rays), far)
    hit = along < far - 1e-3
    points = eye + along[:, None] * rays
    normal = torch.where(hit[:, None], _gradient(from_object, points), room_normal)
    is_floor = ~hit & (room_normal[:, 1] > 0.5)
    light = _shadow(from_object, points, hit) * (normal @ SUN).clamp_min(0)
    # corners and the ground under the object see less of the sky
    sky = 0.5 + 0.5 * normal[:, 1]
    near = torch.where(hit, points[:, 1], from_object(points)).clamp_min(0)
    open_sky = 1 - 0.45 * torch.exp(-2.5 * near)
    shade = (0.68 * light + (0.2 + 0.14 * sky) * open_sky).clamp(0, 1)
    halfway = torch.nn.functional.normalize(SUN - rays, dim=1)
    gloss = 0.35 * hit * (normal * halfway).sum(1).clamp_min(0) ** 40
    parts = [is_floor * shade, ~(hit | is_floor) * shade, hit * shade, gloss]
    seen = shrink(torch.stack(parts, dim=1), fine, FINE)
    return seen.T.unflatten(1, (SIZE, SIZE)).clamp(0, 1).sqrt()


def _room(eye: Tensor, rays: Tensor) -> tuple[Float[Tensor, "rays"], Float[Tensor, "rays 3"]]:
    """How far the floor or a wall is along each ray, and its normal: left, right and back."""
    walls = torch.tensor([[0.0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1]])
    places = torch.tensor([0.0, WALL, WALL, WALL])
    speed = -(rays @ walls.T)
    reach = torch.where(speed > 1e-6, (walls @ eye + places) / speed, torch.full((), torch.inf))
    far, which = reach.min(dim=1)
    return far, walls[which]


def _gradient(field: Field, p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Outward normals of an object, by differences."""
    steps = 1e-3 * torch.eye(3)
    slopes = [field(p + step) - field(p - step) for step in steps]
    return torch.nn.functional.normalize(torch.stack(slopes, dim=1), dim=1)


def _shadow(field: Field, p: Float[Tensor, "n 3"], hit: Tensor) -> Float[Tensor, "n"]:
    """How much of the sun the room sees past the object; the object's own side faces it or not."""
    lit, along = torch.ones(len(p)), torch.full((len(p),), 0.05)
    for _ in range(24):
        clear = field(p + along[:, None] * SUN)
        lit = torch.minimum(lit, 8 * clear / along)
        along = along + clear.clamp(0.03, 0.5)
    return torch.where(hit, 1.0, lit.clamp(0, 1))


def colours(rows: np.ndarray) -> Float[Tensor, "rows 3 3"]:
    """Light that floor, walls and object of images reflect: (rows, part, channel)."""
    values = np.stack([rows // stride % 10 for stride in (48_000, 4_800, 480)], axis=1) / 10
    thirds = np.array([0, 1 / 3, 2 / 3])
    away = np.abs((values[..., None] - thirds + 0.5) % 1 - 0.5)  # from red, green, blue
    vivid = np.clip(2 - 6 * away, 0, 1)
    return torch.from_numpy((0.08 + 0.92 * vivid) ** 2).float()


def colourise(views: Float[Tensor, "b 4 h w"], rows: np.ndarray) -> Float[Tensor, "b 3 h w"]:
    """Lay the colours of each row over its view."""
    # the colour of gloss is white
    inks = torch.cat([colours(rows), torch.ones(len(rows), 1, 3)], dim=1).to(views.device)
    painted = inks.transpose(1, 2) @ views.square().flatten(2)
    return painted.clamp_max_(1).sqrt_().unflatten(2, views.shape[2:])


def rooms3d_drawn() -> ImageDataset:
    """All the rooms: colour, 64 x 64, in the row order of the 3D Shapes data set."""
    name, shape = "rooms3d-drawn", (4, SIZE, SIZE)
    views = cached(cache_file(name), f"{name}/1", lambda: (shape, _images(), VIEWS))
    rows = np.arange(len(GRID))
    return views.with_changes(grid=GRID, rows=rows, colourise=colourise, shape=(3, SIZE, SIZE))


def _images() -> Iterator[np.ndarray]:
    views = [
        (s, form, o) for s in SCALES for form in GRID.categories["shape"] for o in ORIENTATIONS
    ]
    for scale, form, orientation in progress(views, len(views), "drawing rooms3d-drawn"):
        image = render(form, scale, orientation)
        yield image[None].mul(255).round().byte().numpy()
