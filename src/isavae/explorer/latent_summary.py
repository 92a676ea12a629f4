"""What the latents of a model do on a sample of its images: codes, information, curves, maps."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from isavae.data import FactorGrid, ImageDataset
from isavae.evaluation import encode_all
from isavae.metrics import (
    MIN_INFORMATION,
    Codes,
    Information,
    exact_information,
    latent_information,
)
from isavae.models import VAE

SAMPLE = 10_000


@final
@dataclass(frozen=True, eq=False)
class LatentSummary:
    """A model's codes of a seeded sample of images, and what follows from them.

    Attributes:
        codes: posteriors of the sample, with its factors where known.
        total: how many images the sample is from.
        about_images: I(x; z_j) in nats, x one of the sample: at most log of its size.
        about_factors: I(z_j; v_k) for every factor that varies; None without factors.
    """

    codes: Codes
    total: int
    about_images: Float[Tensor, "latents"]
    about_factors: Information | None

    @classmethod
    def gather(cls, model: VAE, data: ImageDataset, n: int = SAMPLE) -> "LatentSummary":
        """Encode `n` images drawn with seed 0 (or all, if there are fewer)."""
        codes = encode_all(model, data if n >= len(data) else data.sample(n, seed=0))
        varying = varying_factors(codes)
        about_factors = exact_information(codes, varying) if varying else None
        return cls(codes, len(data), latent_information(codes), about_factors)

    @property
    def active(self) -> list[bool]:
        """Whether each latent is in use."""
        return (self.about_images > MIN_INFORMATION).tolist()

    def curves(self, latent: int) -> list[dict[str, Any]]:
        """Mean and standard deviation of a latent's codes at every class of every factor.

        One curve per class of the first unordered factor with a handful of classes, if there is
        one (dSprites: shape), else one curve.
        """
        grid = self.codes.grid
        assert grid is not None
        z = self.codes.mean[:, latent].double().numpy()
        split = _splitting_factor(grid, varying_factors(self.codes))
        found = []
        for factor in varying_factors(self.codes):
            by = split if factor != split else None
            size = grid.sizes[grid.position(factor)]
            groups = grid.column(by) if by else np.zeros(len(z), dtype=np.int64)
            names = class_names(grid, by) if by else [""]
            lines = []
            for group, name in enumerate(names):
                rows = groups == group
                mean, std = _moments_by_class(z[rows], grid.column(factor)[rows], size)
                lines.append({"name": name, "mean": mean, "std": std})
            found.append({"factor": factor, "classes": class_names(grid, factor), "lines": lines})
        return found

    def plane(self, latent: int, x: str, y: str) -> list[list[float | None]]:
        """Mean of a latent's codes over the classes of two factors: a row per class of `y`."""
        grid = self.codes.grid
        assert grid is not None
        n_x, n_y = (grid.sizes[grid.position(factor)] for factor in (x, y))
        columns, rows = grid.column(x), grid.column(y)
        cell = np.where((columns >= 0) & (rows >= 0), rows * n_x + columns, -1)
        z = self.codes.mean[:, latent].double().numpy()
        mean, _ = _moments_by_class(z, cell, n_x * n_y)
        return [mean[row * n_x : (row + 1) * n_x] for row in range(n_y)]


def varying_factors(codes: Codes) -> tuple[str, ...]:
    """Factors of which the codes' images show at least two classes."""
    if codes.grid is None:
        return ()
    return tuple(name for name in codes.grid.names if len(codes.factor(name).counts) > 1)


def class_names(grid: FactorGrid, factor: str) -> list[str]:
    """What the classes of a factor are called; their numbers if they have no names."""
    size = grid.sizes[grid.position(factor)]
    return [str(name) for name in grid.categories.get(factor, range(size))]


def _splitting_factor(grid: FactorGrid, varying: tuple[str, ...]) -> str | None:
    ordered = grid.ordered or ()
    few = (f for f in varying if f not in ordered and grid.sizes[grid.position(f)] <= 4)
    return next(few, None)


def _moments_by_class(
    z: np.ndarray, classes: np.ndarray, size: int
) -> tuple[list[float | None], list[float | None]]:
    """Mean and standard deviation of z in every class; None where a class is empty."""
    z, classes = z[classes >= 0], classes[classes >= 0]
    counts = np.bincount(classes, minlength=size)
    filled = np.maximum(counts, 1)
    mean = np.bincount(classes, z, size) / filled
    variance = np.bincount(classes, (z - mean[classes]) ** 2, size) / filled
    empty = counts == 0
    pairs = [
        [None if nothing else round(float(v), 4) for v, nothing in zip(values, empty, strict=True)]
        for values in (mean, np.sqrt(variance))
    ]
    return pairs[0], pairs[1]
