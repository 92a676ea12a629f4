"""Coarse-to-fine training: images are blurred at first, less and less, and sharp from then on.

Sharp images of a thing at two places have nothing in common unless it overlaps itself, so that a
network may lay out the places with folds that stay. Blurred images change smoothly from place to
place.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

# A narrower kernel leaves 99 % of a pixel where it is.
_LEAST_STD = 0.3


@final
@dataclass(frozen=True)
class Blur:
    """A Gaussian blur whose width falls linearly to 0 in the course of training.

    Args:
        std: Standard deviation of the kernel at the first step, in pixels; 0 for no blur.
        until: The share of all steps after which images are sharp, in (0, 1].

    Examples:
        >>> blur = Blur(std=4.0, until=0.5)
        >>> [blur.std_at(share) for share in (0.0, 0.25, 0.5, 1.0)]
        [4.0, 2.0, 0.0, 0.0]
    """

    std: float = 0.0
    until: float = 0.4

    def std_at(self, share: float) -> float:
        """Standard deviation of the kernel, in pixels, when that share of all steps is done."""
        return self.std * max(0.0, 1 - share / self.until)

    def __call__(
        self, images: Float[Tensor, "n channels height width"], share: float
    ) -> Float[Tensor, "n channels height width"]:
        """Images as they are trained on when that share of all steps is done.

        Every pixel becomes a weighted mean of those that there are: edges are neither darkened nor
        continued.
        """
        std = self.std_at(share)
        if std < _LEAST_STD:
            return images
        height, width = images.shape[-2:]
        return _kernel(height, std, images) @ images @ _kernel(width, std, images).T


def _kernel(side: int, std: float, like: Tensor) -> Float[Tensor, "side side"]:
    """Row i holds the weights of all pixels of a side in pixel i."""
    place = torch.arange(side, device=like.device, dtype=like.dtype)
    exponents = -0.5 * ((place[:, None] - place) / std).square()
    return exponents.softmax(1)
