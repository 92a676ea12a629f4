"""`faces3d-drawn`: heads turned and lit like the Basel face renders, which may not be distributed.

A stand-in with the factor grid of the 3D faces data set, not that data set: the heads are made of a
few dozen smooth bumps of seeded sizes, nobody's scan.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import radians
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.cache import cached
from isavae.data.chance import uniforms
from isavae.data.dataset import ImageDataset
from isavae.data.factors import FactorGrid
from isavae.data.progress import progress
from isavae.data.surfaces import first_hits, looking, pixel_grid, shrink

GRID = FactorGrid(
    names=("identity", "azimuth", "elevation", "lighting"),
    sizes=(50, 21, 11, 11),
    scored=("azimuth", "elevation", "lighting"),
    ordered=("azimuth", "elevation", "lighting"),
)
CHART = 224  # cells along an edge of the chart of directions
SIZE, FINE = 64, 2  # pixels along an edge, and rays per pixel along an edge
AZIMUTHS = np.linspace(-90, 90, 21)  # degrees; the heads look from right to left
ELEVATIONS = np.linspace(-30, 30, 11)
LIGHTS = np.linspace(-80, 80, 11)


@final
@dataclass(frozen=True)
class Heads:
    """Heads over the chart of directions.

    Args:
        radius: Distance of the surface from the centre.
        normal: Its outward direction.
        albedo: Its share of reflected light.
    """

    radius: Float[Tensor, "cells heads"]
    normal: Float[Tensor, "cells heads 3"]
    albedo: Float[Tensor, "cells heads"]


def directions_chart(p: Float[Tensor, "*n 3"]) -> tuple[Tensor, Tensor]:
    """Cell of a point's direction on the unfolded octahedron (the face in its middle); distance."""
    x, y, z = p.unbind(-1)
    scale = 1 / (x.abs() + y.abs() + z.abs()).clamp_min(1e-6)
    u, v = x * scale, y * scale
    behind = z < 0
    u, v = (
        torch.where(behind, torch.copysign(1 - v.abs(), u), u),
        torch.where(behind, torch.copysign(1 - u.abs(), v), v),
    )
    column = ((u + 1) * (CHART / 2)).long().clamp_(0, CHART - 1)
    row = ((v + 1) * (CHART / 2)).long().clamp_(0, CHART - 1)
    return row * CHART + column, p.norm(dim=-1)


def cell_directions() -> Float[Tensor, "cells 3"]:
    """Directions of the centres of the chart's cells, of length 1."""
    at = (torch.arange(CHART) + 0.5) / CHART * 2 - 1
    v, u = torch.meshgrid(at, at, indexing="ij")
    z = 1 - u.abs() - v.abs()
    fold = (-z).clamp_min(0)
    d = torch.stack([u - torch.copysign(fold, u), v - torch.copysign(fold, v), z], dim=-1)
    return torch.nn.functional.normalize(d, dim=-1).flatten(0, 1)


def heads(seed: int = 0, n: int = 50) -> Heads:
    """Heads with seeded shapes and tones.

    Args:
        seed: Decides all of them.
        n: How many.
    """
    d = cell_directions()
    x, y, z = (axis[:, None] for axis in d.unbind(-1))
    side, front = x.abs(), (z > 0).float()
    vary = iter(torch.from_numpy(uniforms((64, n), seed)).float() * 2 - 1)  # -1..1 per trait

    def trait(middle: float, spread: float) -> Tensor:
        return middle + spread * next(vary)

    def bump(u, v, at_u, at_v, wide, high):
        return torch.exp(-((((u - at_u) / wide) ** 2 + ((v - at_v) / high) ** 2) / 2))

    # skull: an ellipsoid that narrows towards the jaw and is flatter in front
    width, height, depth = trait(0.73, 0.06), trait(1.02, 0.06), trait(0.9, 0.05)
    jaw = trait(0.12, 0.14) * torch.sigmoid((-y - 0.3) * 7)
    back = torch.where(z < 0, torch.ones(()), trait(0.9, 0.05))
    radius = (
        (x / (width * (1 - jaw))) ** 2 + (y / height) ** 2 + (z / (depth * back)) ** 2
    ) ** -0.5

    nose_v, nose_w, nose = trait(-0.16, 0.04), trait(0.085, 0.02), trait(0.15, 0.06)
    eye_u, eye_v, brow_v = trait(0.31, 0.03), trait(0.13, 0.03), trait(0.28, 0.02)
    mouth_v, mouth_w, lips = trait(-0.46, 0.03), trait(0.2, 0.04), trait(0.035, 0.016)
    shape = (
        (
            nose * bump(x, y, 0, nose_v, nose_w, trait(0.085, 0.015))
            + 0.55 * nose * bump(x, y, 0, nose_v + 0.15, nose_w * 0.75, 0.13)
            + 0.3 * nose * bump(side, y, 0.1, nose_v - 0.04, 0.05, 0.045)
            - trait(0.08, 0.025) * bump(side, y, eye_u, eye_v, 0.13, 0.08)
            + 0.03 * bump(side, y, eye_u, eye_v, 0.06, 0.045)
            + trait(0.035, 0.025) * bump(side, y, eye_u - 0.03, brow_v, 0.17, 0.045)
            + trait(0.05, 0.04) * bump(side, y, 0.42, -0.08, 0.14, 0.13)
            - trait(0.02, 0.03) * bump(side, y, 0.46, -0.42, 0.15, 0.16)
            + lips * bump(x, y, 0, mouth_v + 0.045, mouth_w, 0.025)
            + lips * 1.2 * bump(x, y, 0, mouth_v - 0.05, mouth_w * 0.85, 0.03)
            - 0.02 * bump(x, y, 0, mouth_v, mouth_w, 0.014)
            - 0.03 * bump(x, y, 0, mouth_v - 0.12, 0.18, 0.04)
            + trait(0.14, 0.05) * bump(x, y, 0, -0.74, trait(0.22, 0.05), 0.11)
            + trait(0.02, 0.03) * bump(x, y, 0, 0.6, 0.35, 0.15)
        )
        * front
        * torch.sigmoid((z - 0.15) * 25)
    )
    ears = trait(0.15, 0.05) * bump(y, z, -0.02, -0.05, trait(0.14, 0.03), 0.06)
    ears = ears * (1 - 0.6 * bump(y, z, -0.02, 0.0, 0.07, 0.03)) * (side > 0.6)
    radius = radius + shape + ears
    # neck: a cylinder that leans back, down to below the picture
    leaning = torch.sqrt(x**2 + (z - 0.32 * y) ** 2).clamp_min(1e-3)
    neck = torch.where(y < -0.3, trait(0.38, 0.05) / leaning, torch.zeros(())).clamp_max(1.9)
    radius = torch.logaddexp(radius * 14, neck * 14) / 14

    skin = trait(0.68, 0.2)
    hair = trait(0.0, 0.3).abs() * 0.8 + 0.08
    hairline = trait(0.62, 0.12)
    scalp = torch.sigmoid(
        (y - hairline + 0.75 * (z < 0) * -z + 0.5 * (side - 0.45).clamp_min(0)) * 30
    )
    scalp = scalp * (y > -0.35) * (next(vary) > -0.7)  # some are bald
    sclera = bump(side, y, eye_u, eye_v, 0.095, 0.045) > 0.6
    iris = bump(side, y, eye_u, eye_v, 0.042, 0.05) > 0.6
    brows = bump(side, y + 0.12 * (side - eye_u) ** 2 * 8, eye_u - 0.01, brow_v - 0.02, 0.12, 0.03)
    mouth = bump(x, y, 0, mouth_v, mouth_w * 0.8, 0.055)
    nostrils = bump(side, y, 0.06, nose_v - 0.1, 0.028, 0.018)
    albedo = skin * (1 - 0.45 * front * mouth) * (1 - 0.75 * front * nostrils)
    albedo = albedo * (1 - 0.5 * front * bump(x, y, 0, mouth_v, mouth_w, 0.012))
    albedo = torch.lerp(albedo, hair.expand_as(albedo), scalp)
    albedo = torch.lerp(albedo, (0.5 * hair).expand_as(albedo), 0.85 * front * brows)
    albedo = torch.where((front > 0) & sclera, torch.full((), 0.92), albedo)
    albedo = torch.where((front > 0) & sclera & iris, trait(0.15, 0.12), albedo)

    grid = (CHART, CHART, n)
    points = (d[:, None] * radius[..., None]).view(*grid, 3)
    normal = _normals(points).flatten(0, 1)
    openness = _openness(torch.minimum(radius, torch.tensor(1.2)).view(grid)).flatten(0, 1)
    return Heads(radius, normal, (albedo * openness).clamp(0, 1))


def _normals(points: Float[Tensor, "v u n 3"]) -> Float[Tensor, "v u n 3"]:
    along_v, along_u = torch.gradient(points, dim=(0, 1))
    return torch.nn.functional.normalize(torch.linalg.cross(along_u, along_v), dim=-1)


def _openness(radius: Float[Tensor, "v u n"]) -> Float[Tensor, "v u n"]:
    """Hollows see less of the sky: compare the surface with its surroundings."""
    planes = radius.permute(2, 0, 1)[:, None]
    for _ in range(2):
        planes = torch.nn.functional.avg_pool2d(planes, 13, 1, 6, count_include_pad=False)
    return (1 + 4 * (radius - planes[:, 0].permute(1, 2, 0)).clamp_max(0.03)).clamp_min(0.45)


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
    picture = torch.zeros(fine * fine, *surface.shape[1:])
    picture[near] = surface
    cover = torch.zeros(fine * fine, found.shape[1])
    cover[near] = found.float()
    surface, cover = shrink(picture, fine, FINE), shrink(cover, fine, FINE)
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
    return cached("faces3d-drawn/1", (1, SIZE, SIZE), _pictures(), GRID)


def _pictures() -> Iterator[np.ndarray]:
    """The images of one identity after the other; a view shows all of them, so all are kept."""
    all_heads = heads()
    views = [(a, e) for a in range(len(AZIMUTHS)) for e in range(len(ELEVATIONS))]
    images = np.empty((*GRID.sizes, SIZE, SIZE), dtype=np.uint8)
    for a, e in progress(views, len(views), "drawing faces3d-drawn"):
        picture = render(all_heads, AZIMUTHS[a], ELEVATIONS[e])
        images[:, a, e] = picture.mul(255).round().byte().numpy()
    for identity in images:
        yield identity.reshape(-1, 1, SIZE, SIZE)
