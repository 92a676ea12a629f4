"""Heads as surfaces over the directions from their centre: skull, features, ears, neck, tones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.seeded import uniforms

# Cells along one side of the chart of directions.
CHART = 224

Trait = Callable[[float, float], Tensor]  # middle and spread -> the next trait of every head


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


@final
@dataclass(frozen=True)
class Features:
    """Where the features of every face lie (u to the side, v up), and how big they are."""

    nose_v: Tensor
    nose_w: Tensor
    nose: Tensor
    eye_u: Tensor
    eye_v: Tensor
    brow_v: Tensor
    mouth_v: Tensor
    mouth_w: Tensor
    lips: Tensor


def heads(seed: int = 0, n: int = 50) -> Heads:
    """Heads with seeded shapes and tones.

    Args:
        seed: Decides all of them.
        n: How many.
    """
    values = iter(torch.from_numpy(uniforms((64, n), seed)).float() * 2 - 1)

    def trait(middle: float, spread: float) -> Tensor:
        return middle + spread * next(values)

    d = cell_directions()
    x, y, z = (axis[:, None] for axis in d.unbind(-1))
    skull = _skull(x, y, z, trait)
    at = _features(trait)
    head = skull + _face(x, y, z, at, trait) + _ears(x, y, z, trait)
    radius = _with_neck(head, x, y, z, trait)
    albedo = _tones(x, y, z, at, trait)
    points = (d[:, None] * radius[..., None]).view(CHART, CHART, n, 3)
    openness = _openness(radius.clamp_max(1.2).view(CHART, CHART, n))
    return Heads(
        radius, _normals(points).flatten(0, 1), (albedo * openness.flatten(0, 1)).clamp(0, 1)
    )


def _skull(x: Tensor, y: Tensor, z: Tensor, trait: Trait) -> Tensor:
    """An ellipsoid that narrows towards the jaw and is flatter in front."""
    width, height, depth = trait(0.73, 0.06), trait(1.02, 0.06), trait(0.9, 0.05)
    jaw = trait(0.12, 0.14) * torch.sigmoid((-y - 0.3) * 7)
    back = torch.where(z < 0, torch.ones(()), trait(0.9, 0.05))
    return ((x / (width * (1 - jaw))) ** 2 + (y / height) ** 2 + (z / (depth * back)) ** 2) ** -0.5


def _features(trait: Trait) -> Features:
    return Features(
        nose_v=trait(-0.16, 0.04),
        nose_w=trait(0.085, 0.02),
        nose=trait(0.15, 0.06),
        eye_u=trait(0.31, 0.03),
        eye_v=trait(0.13, 0.03),
        brow_v=trait(0.28, 0.02),
        mouth_v=trait(-0.46, 0.03),
        mouth_w=trait(0.2, 0.04),
        lips=trait(0.035, 0.016),
    )


def _face(x: Tensor, y: Tensor, z: Tensor, at: Features, trait: Trait) -> Tensor:
    """Bumps and hollows in front."""
    side = x.abs()
    nose = at.nose * (
        _bump(x, y, 0, at.nose_v, at.nose_w, trait(0.085, 0.015))
        + 0.55 * _bump(x, y, 0, at.nose_v + 0.15, at.nose_w * 0.75, 0.13)
        + 0.3 * _bump(side, y, 0.1, at.nose_v - 0.04, 0.05, 0.045)
    )
    eyes = (
        -trait(0.08, 0.025) * _bump(side, y, at.eye_u, at.eye_v, 0.13, 0.08)
        + 0.03 * _bump(side, y, at.eye_u, at.eye_v, 0.06, 0.045)
        + trait(0.035, 0.025) * _bump(side, y, at.eye_u - 0.03, at.brow_v, 0.17, 0.045)
    )
    cheeks = trait(0.05, 0.04) * _bump(side, y, 0.42, -0.08, 0.14, 0.13)
    jowls = trait(0.02, 0.03) * _bump(side, y, 0.46, -0.42, 0.15, 0.16)
    mouth = (
        at.lips * _bump(x, y, 0, at.mouth_v + 0.045, at.mouth_w, 0.025)
        + at.lips * 1.2 * _bump(x, y, 0, at.mouth_v - 0.05, at.mouth_w * 0.85, 0.03)
        - 0.02 * _bump(x, y, 0, at.mouth_v, at.mouth_w, 0.014)
        - 0.03 * _bump(x, y, 0, at.mouth_v - 0.12, 0.18, 0.04)
    )
    chin = trait(0.14, 0.05) * _bump(x, y, 0, -0.74, trait(0.22, 0.05), 0.11)
    forehead = trait(0.02, 0.03) * _bump(x, y, 0, 0.6, 0.35, 0.15)
    bumps = nose + eyes + cheeks - jowls + mouth + chin + forehead
    return bumps * (z > 0) * torch.sigmoid((z - 0.15) * 25)


def _ears(x: Tensor, y: Tensor, z: Tensor, trait: Trait) -> Tensor:
    rims = trait(0.15, 0.05) * _bump(y, z, -0.02, -0.05, trait(0.14, 0.03), 0.06)
    return rims * (1 - 0.6 * _bump(y, z, -0.02, 0.0, 0.07, 0.03)) * (x.abs() > 0.6)


def _with_neck(head: Tensor, x: Tensor, y: Tensor, z: Tensor, trait: Trait) -> Tensor:
    """Melt the head with a cylinder that leans back, down to below the image."""
    leaning = torch.sqrt(x**2 + (z - 0.32 * y) ** 2).clamp_min(1e-3)
    neck = torch.where(y < -0.3, trait(0.38, 0.05) / leaning, torch.zeros(())).clamp_max(1.9)
    return torch.logaddexp(head * 14, neck * 14) / 14


def _tones(x: Tensor, y: Tensor, z: Tensor, at: Features, trait: Trait) -> Tensor:
    """Albedo of skin, lips, nostrils, hair, brows and eyes."""
    side, front = x.abs(), z > 0
    skin, hair = trait(0.68, 0.2), trait(0.0, 0.3).abs() * 0.8 + 0.08
    above = y - trait(0.62, 0.12) + 0.75 * (z < 0) * -z + 0.5 * (side - 0.45).clamp_min(0)
    is_bald = trait(0.0, 1.0) <= -0.7
    scalp = torch.sigmoid(above * 30) * (y > -0.35) * ~is_bald
    mouth = _bump(x, y, 0, at.mouth_v, at.mouth_w * 0.8, 0.055)
    gap = _bump(x, y, 0, at.mouth_v, at.mouth_w, 0.012)
    nostrils = _bump(side, y, 0.06, at.nose_v - 0.1, 0.028, 0.018)
    albedo = skin * (1 - 0.45 * front * mouth) * (1 - 0.75 * front * nostrils)
    albedo = albedo * (1 - 0.5 * front * gap)
    arched = y + 0.96 * (side - at.eye_u) ** 2
    brows = _bump(side, arched, at.eye_u - 0.01, at.brow_v - 0.02, 0.12, 0.03)
    albedo = torch.lerp(albedo, hair.expand_as(albedo), scalp)
    albedo = torch.lerp(albedo, (0.5 * hair).expand_as(albedo), 0.85 * front * brows)
    white = front & (_bump(side, y, at.eye_u, at.eye_v, 0.095, 0.045) > 0.6)
    iris = white & (_bump(side, y, at.eye_u, at.eye_v, 0.042, 0.05) > 0.6)
    albedo = torch.where(white, torch.full((), 0.92), albedo)
    return torch.where(iris, trait(0.15, 0.12), albedo)


def _bump(
    u: Tensor,
    v: Tensor,
    at_u: Tensor | float | int,
    at_v: Tensor | float,
    wide: Tensor | float,
    high: Tensor | float,
) -> Tensor:
    """A smooth bump of height 1."""
    return torch.exp(-((((u - at_u) / wide) ** 2 + ((v - at_v) / high) ** 2) / 2))


def _normals(points: Float[Tensor, "v u n 3"]) -> Float[Tensor, "v u n 3"]:
    along_v, along_u = torch.gradient(points, dim=(0, 1))
    return torch.nn.functional.normalize(torch.linalg.cross(along_u, along_v), dim=-1)


def _openness(radius: Float[Tensor, "v u n"]) -> Float[Tensor, "v u n"]:
    """Hollows see less of the sky: compare the surface with its surroundings."""
    planes = radius.permute(2, 0, 1)[:, None]
    for _ in range(2):
        planes = torch.nn.functional.avg_pool2d(planes, 13, 1, 6, count_include_pad=False)
    return (1 + 4 * (radius - planes[:, 0].permute(1, 2, 0)).clamp_max(0.03)).clamp_min(0.45)
