"""The state of an Adam from a checkpoint, which may be of another device or damaged."""

from typing import Any

import torch


def load_adam(optimizer: torch.optim.Adam, state: dict[str, Any]) -> None:
    """Take over moments and counts of steps; how Adam runs stays as it is here.

    Learning rates, betas and kernels are a matter of the settings and of this device, not of where
    the state comes from.

    Args:
        optimizer: What takes over the state.
        state: What `optimizer.state_dict()` gave, on the same or another device.

    Raises:
        ValueError: If moments do not have the shape of their weights. Other states raise what torch
            raises.
    """
    own = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, kept in zip(optimizer.param_groups, own, strict=True):
        group.update(kept)
    for weights, held in optimizer.state.items():
        moments = (held["exp_avg"], held["exp_avg_sq"])
        if any(each.shape != weights.shape for each in moments) or held["step"].numel() != 1:
            raise ValueError("moments must have the shape of their weights")
