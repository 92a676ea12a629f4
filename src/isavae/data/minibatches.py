"""Images that live packed on a GPU, so that a minibatch is gathered and unpacked there."""

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.conversion import to_device, unpack_there
from isavae.data.order import epoch_order

# Orders that are kept: of this epoch and the last, for a run's own batches and for second ones.
_ORDERS = 4


@final
class DeviceImages:
    """Packed images on a device, and the orders of the epochs in which they are visited.

    An order is computed on the host, so that batches are the same on every device, and copied once
    per epoch. No minibatch waits for the device.

    Args:
        stored: Images as `ImageDataset.stored`, in the data set's order, in memory.
        shape: (channels, height, width) of an image.
        device: Where they live.
    """

    def __init__(self, stored: np.ndarray, shape: tuple[int, int, int], device: torch.device):
        self._stored = torch.from_numpy(stored).to(device)
        self._shape = shape
        self._orders: dict[tuple[int, int], Tensor] = {}

    def minibatch(
        self, seed: int, epoch: int, positions: slice
    ) -> Float[Tensor, "batch channels height width"]:
        """The images at some positions of an epoch's order."""
        rows = self._order(seed, epoch)[positions]
        return unpack_there(self._stored.index_select(0, rows), self._shape)

    def _order(self, seed: int, epoch: int) -> Tensor:
        if (seed, epoch) not in self._orders:
            if len(self._orders) == _ORDERS:
                del self._orders[next(iter(self._orders))]
            order = epoch_order(len(self._stored), seed, epoch)
            self._orders[seed, epoch] = to_device(np.array(order), self._stored.device)
        return self._orders[seed, epoch]
