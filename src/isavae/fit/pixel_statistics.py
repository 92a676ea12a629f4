"""What the pixels of the pictures say before anything is trained."""

from dataclasses import dataclass
from typing import final

import numpy as np

MOST_PICTURES = 1000
BLACK_OR_WHITE = 16  # of 255: how far resizing and JPEG move a pixel from black or white
NORMAL_MEDIAN = 0.6745  # of |x| for a standard normal x


@final
@dataclass(frozen=True, eq=False)
class Inspection:
    """How pictures differ, pixels in [0, 1]; of at most 1,000 of them, evenly spaced.

    Attributes:
        contrast: standard deviation of a pixel over the pictures, root mean square over pixels.
        noise: standard deviation of a pixel's noise.
        binary: share of pixels that are nearly black or white.
        variances: along the principal components of the pictures, the largest first.
    """

    contrast: float
    noise: float
    binary: float
    variances: np.ndarray

    def directions(self, share: float) -> int:
        """How many principal components hold that share of the variance.

        >>> Inspection(1.0, 0.0, 0.0, np.array([6.0, 3.0, 1.0])).directions(0.9)
        2
        """
        held = np.cumsum(self.variances) / self.variances.sum()
        return int((held < share - 1e-9).sum()) + 1

    def weight_keeping(self, latents: int, spread: float) -> float:
        """The largest β at which a linear VAE with normal pixels keeps so many latents.

        It keeps the components whose variance exceeds β σ² (Lucas et al. 2019, Dai et al. 2018).

        Args:
            latents: how many, from 1.
            spread: σ of the pixels.

        >>> Inspection(1.0, 0.0, 0.0, np.array([6.0, 3.0, 1.0])).weight_keeping(2, spread=0.5)
        12.0
        """
        kept = self.variances[min(latents, len(self.variances)) - 1]
        return float(kept) / spread**2


def inspect(images: np.ndarray) -> Inspection:
    """Look at pictures: uint8, (pictures, channels, height, width).

    The noise is that of the finest diagonal details, sums over 2 × 2 pixels with alternating sign,
    by the median of their absolute values (Donoho & Johnstone 1994), which edges hardly change.
    """
    some = images[:: -(-len(images) // MOST_PICTURES)].astype(np.float32) / 255
    rows = some.reshape(len(some), -1).astype(np.float64)
    rows -= rows.mean(0)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    variances = np.linalg.eigvalsh(gram / len(rows))[::-1].clip(min=0)
    height, width = (edge // 2 * 2 for edge in some.shape[2:])
    corners = some[..., :height, :width].reshape(*some.shape[:2], height // 2, 2, width // 2, 2)
    signs = np.array([[1.0, -1.0], [-1.0, 1.0]], np.float32)
    details = np.einsum("ncyaxb,ab->ncyx", corners, signs) / 2
    edge = BLACK_OR_WHITE / 255
    return Inspection(
        contrast=float(np.square(rows).mean() ** 0.5),
        noise=float(np.median(np.abs(details)) / NORMAL_MEDIAN),
        binary=float(((some <= edge) | (some >= 1 - edge)).mean()),
        variances=variances,
    )
