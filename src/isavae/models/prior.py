"""What a prior is, and the positive numbers that it may learn: exponents and scales."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution


class Prior(nn.Module, ABC):
    """A module that returns p(z) over `latent` variables, arranged in `subspaces`.

    Whether its learned values are frozen is part of its state.
    """

    n_latents: int
    subspaces: tuple[slice, ...]
    frozen: Tensor

    def __init__(self, n_latents: int, subspaces: tuple[slice, ...] | None = None):
        super().__init__()
        self.n_latents = n_latents
        self.subspaces = subspaces or tuple(slice(j, j + 1) for j in range(n_latents))
        self.register_buffer("frozen", torch.tensor(False))
        self.register_load_state_dict_post_hook(_apply_frozen)

    @abstractmethod
    def forward(self) -> Distribution:
        """The prior p(z), with event shape (latent,)."""

    def learned_values(self) -> dict[str, Float[Tensor, ""]]:
        """What is learned, as named numbers for the log."""
        return {}

    def freeze(self) -> None:
        """Stop learning; an optimiser leaves what has no gradient as it is, to the bit."""
        self.frozen.fill_(True)
        _apply_frozen(self)

    def unfreeze(self) -> None:
        """Go on learning."""
        self.frozen.fill_(False)
        _apply_frozen(self)


def _apply_frozen(prior: Prior, missing_and_unexpected_keys: object = None) -> None:
    prior.requires_grad_(not bool(prior.frozen))


@final
class BoundedValues(nn.Module):
    """Positive numbers, some of them learned as logits of their place between two bounds.

    The place is that of the logarithm, and the bounds hold after any step of any optimiser.

    Args:
        start: values to start from.
        learned: which of them are learned; the others stay where they start.
        lowest: lower bound of the learned ones, positive.
        highest: upper bound of the learned ones.
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
        self.register_buffer("start", start.clone(), persistent=False)
        self.register_buffer("index", torch.tensor(learned).nonzero()[:, 0], persistent=False)
        chosen = start[self.index]
        if not (0 < lowest < highest and bool(((lowest < chosen) & (chosen < highest)).all())):
            raise ValueError(
                f"learned values must start between their bounds {lowest:g} and {highest:g}, both "
                f"positive; got {chosen.tolist()}: start elsewhere or change the lowest"
            )
        if any(learned):
            place = torch.log(chosen / lowest) / math.log(highest / lowest)
            self.logit = nn.Parameter(torch.logit(place))

    def forward(self) -> Float[Tensor, " values"]:
        if not len(self.index):
            return self.start
        ratio = math.log(self.highest / self.lowest)
        learned = self.lowest * torch.exp(ratio * torch.sigmoid(self.logit))
        # Rounding may lead past a bound by the last digit.
        learned = learned.clamp(self.lowest, self.highest)
        return self.start.index_copy(0, self.index, learned)


def bounded_values(values: dict[str, BoundedValues]) -> dict[str, Float[Tensor, ""]]:
    """The learned ones of some values, numbered where there are several."""
    readings = {}
    for name, bounded in values.items():
        current = bounded().detach()
        for i in bounded.index.tolist():
            readings[f"{name}{i}" if len(current) > 1 else name] = current[i]
    return readings
