"""`cars3d-drawn`: small cars seen from around, on the factor grid of the Cars3D data set.

A stand-in with that grid, not that data set: every car is a rounded body, a cabin and four wheels,
drawn from a dozen seeded measures and two colours.
"""

from collections.abc import Iterator
from math import radians

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.cache import cached
from isavae.data.dataset import ImageDataset
from isavae.data.drawn.car_shapes import Cars, cars, side_chart
from isavae.data.drawn.surfaces import first_hits, looking, pixel_grid, shrink
from isavae.data.grids import CARS3D as GRID
from isavae.data.places import cache_file
from isavae.data.read_progress import progress

# Pixels and rays per pixel along one side.
SIZE, FINE = 64, 2
# Degrees.
ELEVATIONS = (6, 16, 26, 36)


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
    image = (1 - shadow)[:, None, None].repeat(1, len(which), 3)
    image[near] = torch.where(found[..., None], car.clamp(0, 1), image[near])
    image = shrink(image, fine, FINE)
    return image.permute(1, 2, 0).unflatten(2, (SIZE, SIZE)).sqrt()


def _meets_box(origins: Tensor, towards: Tensor, box: Float[Tensor, "2 3"]) -> Tensor:
    """Which lines along `towards` pass through a box, as positions."""
    along = torch.where(towards.abs() < 1e-6, torch.full((), 1e-6), towards)
    ends = (box[:, None] - origins) / along
    enter, leave = ends.amin(dim=0).amax(dim=-1), ends.amax(dim=0).amin(dim=-1)
    return torch.nonzero(enter < leave)[:, 0]


def cars3d_drawn() -> ImageDataset:
    """All the cars: colour, 64 x 64, in the row order of the Cars3D data set."""
    name, shape = "cars3d-drawn", (3, SIZE, SIZE)
    return cached(cache_file(name), f"{name}/1", lambda: (shape, _images(), GRID))


def _images() -> Iterator[np.ndarray]:
    """The images of all cars, one view after the other."""
    fleet = cars()
    views = [(e, 15 * a) for e in ELEVATIONS for a in range(24)]
    for elevation, azimuth in progress(views, len(views), "drawing cars3d-drawn"):
        yield render(fleet, azimuth, elevation).mul(255).round().byte().numpy()
