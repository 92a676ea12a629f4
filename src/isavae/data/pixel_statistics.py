"""The variation between images, before anything is trained: how many latents it takes."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, UInt8

MAX_IMAGES = 1000


@final
@dataclass(frozen=True, eq=False)
class PixelStatistics:
    """Variation between images with pixels in [0, 1].

    Attributes:
        variances: Variances along the principal components of the images, the largest first.
    """

    variances: Float[np.ndarray, "components"]

    def directions(self, share: float) -> int:
        """The number of principal components that hold a share of the variance.

        Examples:
            >>> PixelStatistics(np.array([6.0, 3.0, 1.0])).directions(0.9)
            2
        """
        held = np.cumsum(self.variances) / self.variances.sum()
        return int((held < share - 1e-9).sum()) + 1

    def held_by(self, components: int) -> float:
        """The share of the variance in so many principal components.

        Examples:
            >>> PixelStatistics(np.array([6.0, 3.0, 1.0])).held_by(2)
            0.9
        """
        return float(self.variances[:components].sum() / self.variances.sum())


def measured_images(
    images: UInt8[np.ndarray, "n channels height width"],
) -> UInt8[np.ndarray, "measured channels height width"]:
    """At most 1,000 of the images, evenly spaced: those that are measured."""
    return images[:: -(-len(images) // MAX_IMAGES)]


def measure_pixels(images: UInt8[np.ndarray, "n channels height width"]) -> PixelStatistics:
    """Measure images, see `measured_images`."""
    rows = measured_images(images).reshape(-1, images[0].size).astype(np.float64) / 255
    rows -= rows.mean(0)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    return PixelStatistics(np.linalg.eigvalsh(gram / len(rows))[::-1].clip(min=0))
