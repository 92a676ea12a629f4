"""`faces3d-drawn`: heads turned and lit like the Basel face renders, which may not be distributed.

A stand-in with the factor grid of the 3D faces data set, not that data set: the heads are made of a
few dozen smooth bumps of seeded sizes, nobody's scan.
"""

from collections.abc import Iterator
from math import radians

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.cache import cached
from isavae.data.dataset import ImageDataset
from isavae.data.drawn.heads import Heads, directions_chart, heads
from isavae.data.drawn.surfaces import first_hits, looking, pixel_grid, shrink
from isavae.data.grids import FACES3D as GRID
from isavae.data.places import cache_file
from isavae.data.read_progress import progress

# Pixels and rays per pixel along one side.
SIZE, FINE = 64, 2
# Degrees; the heads look from right to left.
AZIMUTHS = np.linspace(-90, 90, 21)
ELEVATIONS = np.linspace(-30, 30, 11)
LIGHTS = np.linspace(-80, 80, 11)


def render(
    all_heads: Heads, azimuth: float | int, elevation: float | int
) -> Float[Tensor, "heads light y x"]:
    """All heads from one side, under every light: 0 is black, 1 white.

    Args:
        all_heads: The heads.
        azimuth: Degrees by which they turn to their left.
        elevation: Degrees by which the camera is lifted.
    """
    camera = looking(radians(azimuth), radians(elevation))
    right, up, towards = camera
    fine = SIZE * FINE
    x, y = pixel_grid(fine, half_width=1.28)
    y = y - 0.1
    near = torch.nonzero(x**2 + y**2 < 1.9)[:, 0]
    origins = x[near, None] * right + y[near, None] * up + 1.3 * towards
    points, found = first_hits(directions_chart, all_heads.radius, origins, -towards, 2.2, 26)
    cells, _ = directions_chart(points)
    which = torch.arange(all_heads.radius.shape[1])
    seen = all_heads.normal[cells, which] @ camera.T  # in the camera's axes
    surface = (
        torch.cat([seen, all_heads.albedo[cells, which][..., None]], dim=-1) * found[..., None]
    )
    image = torch.zeros(fine * fine, *surface.shape[1:])
    image[near] = surface
    cover = torch.zeros(fine * fine, found.shape[1])
    cover[near] = found.float()
    surface, cover = shrink(image, fine, FINE), shrink(cover, fine, FINE)
    normal = torch.nn.functional.normalize(surface[..., :3], dim=-1)
    angles = torch.from_numpy(np.radians(LIGHTS)).float()
    light = torch.stack([angles.sin() * 0.94, torch.full_like(angles, 0.34), angles.cos() * 0.94])
    diffuse = (normal @ light).clamp_min(0)
    halfway = torch.nn.functional.normalize(light + torch.tensor([0.0, 0.0, 1.0])[:, None], dim=0)
    gloss = (normal @ halfway).clamp_min(0).square().square().square().square()
    shade = surface[..., 3:] * (0.12 + 0.8 * diffuse) + 0.06 * cover[..., None] * gloss
    return shade.permute(1, 2, 0).unflatten(2, (SIZE, SIZE)).clamp(0, 1).sqrt()


def faces3d_drawn() -> ImageDataset:
    """All the heads: grey, 64 x 64, in the row order of the 3D faces data set."""
    name, shape = "faces3d-drawn", (1, SIZE, SIZE)
    return cached(cache_file(name), f"{name}/1", lambda: (shape, _images(), GRID))


def _images() -> Iterator[np.ndarray]:
    """The images of one identity after the other; a view shows all of them, so all are kept."""
    all_heads = heads()
    views = [(a, e) for a in range(len(AZIMUTHS)) for e in range(len(ELEVATIONS))]
    images = np.empty((*GRID.sizes, SIZE, SIZE), dtype=np.uint8)
    for a, e in progress(views, len(views), "drawing faces3d-drawn"):
        image = render(all_heads, AZIMUTHS[a], ELEVATIONS[e])
        images[:, a, e] = image.mul(255).round().byte().numpy()
    for identity in images:
        yield identity.reshape(-1, 1, SIZE, SIZE)
