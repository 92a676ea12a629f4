"""Codes, information, curves and maps of a model's latents on a sample of its images."""

import math
from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
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
    """A model's codes of a seeded sample of images, and statistics of them.

    Attributes:
        codes: Posteriors of the sample, with its factors where known.
        total: Number of images that the sample was drawn from.
        about_images: I(x; z_j) in nats, at most the log of the sample's size.
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


def varying_factors(codes: Codes) -> tuple[str, ...]:
    """Factors of which the codes' images show at least two classes."""
    if codes.grid is None:
        return ()
    return tuple(name for name in codes.grid.names if len(codes.factor(name).counts) > 1)


def _rounded(values: list[float]) -> list[float | None]:
    """Numbers as JSON can hold them: null where a combination of classes has no image."""
    return [None if math.isnan(value) else round(value, 4) for value in values]
