"""Tables of any kind (tensors, arrays, lists, DataFrames) as tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

# Beyond, float32 has not every whole number.
_MOST_EXACT = 1 << 24


def as_floats(name: str, values: Any) -> Tensor:
    """Numbers as a float32 or float64 tensor on the CPU, without a copy where possible.

    Args:
        name: What the values are called in an error message.
        values: A tensor, or whatever `numpy.asarray` takes.

    Raises:
        ValueError: If the values are not real numbers.
    """
    if not isinstance(values, Tensor):
        array = np.require(values, requirements=["C", "W"])  # torch needs writable arrays
        if array.dtype.kind not in "iufb":
            raise ValueError(
                f"`{name}` must hold numbers, but holds {array.dtype}: drop columns of text."
            )
        wide = array.dtype.itemsize > 8  # an extended precision, which torch has not
        values = torch.from_numpy(array.astype(np.float64) if wide else array)
    if values.is_complex():
        raise ValueError(
            f"`{name}` must hold real numbers, but holds {values.dtype}: take their real parts."
        )
    values = values.detach().cpu()
    if values.dtype in (torch.float32, torch.float64):
        return values
    whole = not values.is_floating_point() and values.dtype != torch.bool and values.numel() > 0
    exact = not whole or values.abs().max() <= _MOST_EXACT
    return values.float() if exact else values.double()
