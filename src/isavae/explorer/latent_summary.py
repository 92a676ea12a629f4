"""Codes, information, curves and maps of a model's latents on a sample of its images."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from isavae.data import ImageDataset
from isavae.evaluation import encode_all
from isavae.metrics import (
    MIN_INFORMATION,
    Codes,
    Information,
    exact_information,
    latent_information,
    median_row,
)
from isavae.models import VAE

SAMPLE = 10_000
# Points of a scatter plot.
POINTS = 1_500


@final
@dataclass(frozen=True, eq=False)
class LatentSummary:
    """A model's codes of a seeded sample of images, and statistics of them.

    Attributes:
        codes: Posteriors of the sample, with its factors where known.
        rows: Where the sample's images are among all.
        total: Number of images that the sample was drawn from.
        about_images: I(x; z_j) in nats, at most the log of the sample's size.
        about_factors: I(z_j; v_k) for every factor that varies; None without factors.
    """

    codes: Codes
    rows: Int64[np.ndarray, "sample"]
    total: int
    about_images: Float[Tensor, "latents"]
    about_factors: Information | None

    @classmethod
    def gather(cls, model: VAE, data: ImageDataset, n: int = SAMPLE) -> "LatentSummary":
        """Encode `n` images drawn with seed 0 (or all, if there are fewer)."""
        rows = sample_rows(len(data), n)
        codes = encode_all(model, data.take(rows))
        varying = varying_factors(codes)
        about_factors = exact_information(codes, varying) if varying else None
        return cls(codes, rows, len(data), latent_information(codes), about_factors)

    @property
    def active(self) -> list[bool]:
        """Whether each latent is in use."""
        return (self.about_images > MIN_INFORMATION).tolist()

    def scatter(self, factor: str | None, n: int = POINTS) -> Int64[np.ndarray, "points"]:
        """Rows of a seeded sample of the codes, with every class in proportion, and at least once.

        Args:
            factor: The factor whose classes must all occur; None for any codes.
            n: The number of rows, if there are as many.
        """
        shuffled = np.random.default_rng(0).permutation(len(self.codes))
        if factor is None or self.codes.grid is None:
            return shuffled[:n]
        classes = self.codes.grid.column(factor)[shuffled]
        order = np.argsort(classes, kind="stable")
        _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
        rank = np.empty(len(order))
        rank[order] = (np.arange(len(order)) - starts.repeat(counts)) / counts.repeat(counts)
        return shuffled[np.argsort(rank, kind="stable")[:n]]

    def curves(self, latent: int) -> list[dict[str, Any]]:
        """Mean and standard deviation of a latent's codes at every class of every factor.

        One curve per class of the first unordered factor with a handful of classes, if there is
        one (dSprites: shape), else one curve.
        """
        grid, varying = self.codes.grid, varying_factors(self.codes)
        assert grid is not None
        split = grid.grouping_factor(varying)
        found = []
        for factor in varying:
            by = [] if split is None or factor == split else [split]
            names = grid.class_names(by[0]) if by else ("",)
            means, stds = (
                moments([*by, factor])[..., latent].reshape(len(names), -1).tolist()
                for moments in (self.codes.conditional_means, self.codes.conditional_stds)
            )
            lines = [
                {"name": name, "mean": _rounded(mean), "std": _rounded(std)}
                for name, mean, std in zip(names, means, stds, strict=True)
            ]
            found.append({"factor": factor, "classes": grid.class_names(factor), "lines": lines})
        return found

    def plane(self, latent: int, x: str, y: str) -> list[list[float | None]]:
        """Mean of a latent's codes over the classes of two factors: a row per class of `y`."""
        return [_rounded(row) for row in self.codes.conditional_means([y, x])[..., latent].tolist()]


def sample_rows(total: int, n: int) -> Int64[np.ndarray, "sample"]:
    """`n` of so many rows (or all, if there are fewer), drawn with seed 0, in order."""
    return np.sort(np.random.default_rng(0).permutation(total)[:n])


# Images among which the first one to be shown is chosen: few, as the page waits for it.
CANDIDATES = 500


def opening_image(model: VAE, data: ImageDataset) -> int:
    """The image that a page opens on: of a seeded sample, the one nearest to its median code."""
    rows = sample_rows(len(data), CANDIDATES)
    return int(rows[median_row(encode_all(model, data.take(rows)).mean)])


def varying_factors(codes: Codes) -> tuple[str, ...]:
    """Factors of which the codes' images show at least two classes."""
    if codes.grid is None:
        return ()
    return tuple(name for name in codes.grid.names if len(codes.factor(name).counts) > 1)


def _rounded(values: list[float]) -> list[float | None]:
    """Numbers as JSON can hold them: null where a combination of classes has no image."""
    return [None if math.isnan(value) else round(value, 4) for value in values]
