"""The precision that networks run in, and that of what is computed from their outputs."""

from collections.abc import Callable

import torch
from torch import Tensor


def run_network(network: Callable[[Tensor], Tensor], inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """The outputs of a network, in the dtype in which it runs: bfloat16, or its weights' own."""
    if dtype == torch.float32:
        return network(inputs)
    # Without a cache: every cast is part of a step that is recorded as a CUDA graph.
    with torch.autocast(inputs.device.type, dtype=dtype, cache_enabled=False):
        return network(inputs)


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which values of a dtype are computed with: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def widened(values: Tensor) -> Tensor:
    """The values in float32 at least."""
    return values.to(wide(values.dtype))
