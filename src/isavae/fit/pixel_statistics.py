"""Statistics of pixels that decide what is proposed, before anything is trained."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import UInt8

MAX_IMAGES = 1000
# Of 255: how far resizing and JPEG move a pixel from black or white.
BLACK_OR_WHITE = 16
# The median of |x| for a standard normal x.
NORMAL_MEDIAN = 0.6745


@final
@dataclass(frozen=True, eq=False)
class PixelStatistics:
    """Variation between images with pixels in [0, 1].

    Attributes:
        contrast: Standard deviation of a pixel over the images, root mean square over pixels.
        noise: Standard deviation of a pixel's noise.
        binary: Share of pixels that are nearly black or white.
        variances: Variances along the principal components of the images, the largest first.
    """

    contrast: float
    noise: float
    binary: float
    variances: np.ndarray

    def directions(self, share: float) -> int:
        """The number of principal components that hold a share of the variance.

        Examples:
            >>> PixelStatistics(1.0, 0.0, 0.0, np.array([6.0, 3.0, 1.0])).directions(0.9)
            2
        """
        held = np.cumsum(self.variances) / self.variances.sum()
        return int((held < share - 1e-9).sum()) + 1

    def held_by(self, components: int) -> float:
        """The share of the variance in so many principal components.

        Examples:
            >>> PixelStatistics(1.0, 0.0, 0.0, np.array([6.0, 3.0, 1.0])).held_by(2)
            0.9
        """
        return float(self.variances[:components].sum() / self.variances.sum())

    def largest_beta(self, n_latents: int, sigma: float) -> float:
        """The largest β at which a linear VAE with normal pixels keeps `n_latents` latents.

        It keeps the components whose variance exceeds β σ² (Lucas et al. 2019, Dai et al. 2018).

        Args:
            n_latents: At least 1.
            sigma: σ of the pixels.

        Examples:
            >>> statistics = PixelStatistics(1.0, 0.0, 0.0, np.array([6.0, 3.0, 1.0]))
            >>> statistics.largest_beta(2, sigma=0.5)
            12.0
        """
        kept = self.variances[min(n_latents, len(self.variances)) - 1]
        return float(kept) / sigma**2


def measured_images(
    images: UInt8[np.ndarray, "n channels height width"],
) -> UInt8[np.ndarray, "measured channels height width"]:
    """At most 1,000 of the images, evenly spaced: those that are measured."""
    return images[:: -(-len(images) // MAX_IMAGES)]


def measure_pixels(images: UInt8[np.ndarray, "n channels height width"]) -> PixelStatistics:
    """Measure images, see `measured_images`.

    The noise is that of the finest diagonal details, sums over 2 × 2 pixels with alternating sign,
    by the median of their absolute values (Donoho & Johnstone 1994), which edges hardly change.
    """
    some = measured_images(images).astype(np.float32) / 255
    rows = some.reshape(len(some), -1).astype(np.float64)
    rows -= rows.mean(0)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    variances = np.linalg.eigvalsh(gram / len(rows))[::-1].clip(min=0)
    height, width = (edge // 2 * 2 for edge in some.shape[2:])
    corners = some[..., :height, :width].reshape(*some.shape[:2], height // 2, 2, width // 2, 2)
    signs = np.array([[1.0, -1.0], [-1.0, 1.0]], np.float32)
    details = np.einsum("ncyaxb,ab->ncyx", corners, signs) / 2
    edge = BLACK_OR_WHITE / 255
    return PixelStatistics(
        contrast=float(np.square(rows).mean() ** 0.5),
        noise=float(np.median(np.abs(details)) / NORMAL_MEDIAN),
        binary=float(((some <= edge) | (some >= 1 - edge)).mean()),
        variances=variances,
    )
