"""Flat rows of an array as images, for the networks and the training loop."""

from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor

from isavae.data.order import epoch_order


def image_shape(
    axes: tuple[int, ...], wanted: tuple[int, int, int] | None = None
) -> tuple[int, int, int]:
    """(channels, height, width) of a sample.

    Args:
        axes: The sample's own shape: (features,), (height, width) or (channels, height, width).
        wanted: The shape, where the axes do not say it.

    Raises:
        ValueError: If the wanted shape has another number of pixels.

    Examples:
        >>> image_shape((8, 8)), image_shape((64,), (1, 8, 8))
        ((1, 8, 8), (1, 8, 8))
    """
    channels, height, width = wanted or (1,) * (3 - len(axes)) + axes
    if channels * height * width != prod(axes):
        raise ValueError(
            f"image_shape must have as many pixels as a sample has values, {prod(axes)}; "
            f"got {(channels, height, width)}"
        )
    return channels, height, width


@final
@dataclass(frozen=True)
class Rows:
    """Flat rows as minibatches of images, in the training loop's terms.

    Attributes:
        rows: (n, pixels).
        shape: (channels, height, width) of an image.
    """

    rows: Tensor
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def minibatch(
        self, seed: int, step: int, batch_size: int, device: torch.device | None = None
    ) -> Tensor:
        """The rows of that step: every one once per epoch, a last incomplete batch left out."""
        epoch, position = divmod(step, len(self) // batch_size)
        first = position * batch_size
        order = epoch_order(len(self), seed, epoch)[first : first + batch_size]
        return self.rows[torch.from_numpy(order.copy())].unflatten(1, self.shape).to(device)
