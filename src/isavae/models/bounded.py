"""Positive numbers that are learned between bounds: exponents and scales of priors."""

import math
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn


@final
class BoundedValues(nn.Module):
    """Positive numbers, some of them learned between two bounds.

    The parameter is the logit of a value's position between the bounds on a logarithmic scale, so
    that the bounds hold after any step of any optimiser.

    Args:
        start: Initial values.
        learned: For every value, whether it is learned; the others are constant.
        lowest: Lower bound of learned values, positive.
        highest: Upper bound of learned values.
    """

    start: Tensor
    index: Tensor

    def __init__(
        self,
        start: Float[Tensor, " values"],
        learned: Sequence[bool],
        lowest: float = 1.0,
        highest: float = 100.0,
    ):
        super().__init__()
        self.lowest, self.highest = lowest, highest
        # On the host, since reading `index` would wait for the device.
        self.learned = [position for position, wanted in enumerate(learned) if wanted]
        self.register_buffer("start", start.clone(), persistent=False)
        index = torch.tensor(self.learned, dtype=torch.int64)
        self.register_buffer("index", index, persistent=False)
        chosen = start[self.index]
        if not (0 < lowest < highest and bool(((lowest < chosen) & (chosen < highest)).all())):
            raise ValueError(
                f"learned values must start between their bounds {lowest:g} and {highest:g}, both "
                f"positive; got {chosen.tolist()}: start elsewhere or change the lowest"
            )
        if self.learned:
            place = torch.log(chosen / lowest) / math.log(highest / lowest)
            self.logit = nn.Parameter(torch.logit(place))

    def forward(self) -> Float[Tensor, " values"]:
        if not self.learned:
            return self.start
        ratio = math.log(self.highest / self.lowest)
        learned = self.lowest * torch.exp(ratio * torch.sigmoid(self.logit))
        # Rounding may exceed a bound by the last digit.
        learned = learned.clamp(self.lowest, self.highest)
        return self.start.index_copy(0, self.index, learned)


def bounded_values(values: dict[str, BoundedValues]) -> dict[str, Float[Tensor, ""]]:
    """The learned values by name, with an index where a name has several."""
    readings = {}
    for name, bounded in values.items():
        current = bounded().detach()
        for i in bounded.learned:
            readings[f"{name}{i}" if len(current) > 1 else name] = current[i]
    return readings
