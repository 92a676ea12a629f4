"""What an objective is: a loss of one pass, at one step.

An objective is a frozen value. What changes while it is minimised, the weight of its regulariser or
its capacity, is a function of the step.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from isavae.models.adversary import Adversary, NoAdversary
from isavae.models.vae import VAEOutput


class ObjectiveValue(NamedTuple):
    """A scalar to minimise and the named terms of it that are worth a line in a log (nats)."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class Objective(ABC):
    """What every objective is: a loss of one output, and an adversary, which most do without."""

    @abstractmethod
    def __call__(
        self, output: VAEOutput, *, step: int, n_data: int, adversary: Adversary | None = None
    ) -> ObjectiveValue:
        """The loss of one pass.

        Args:
            output: the pass.
            step: number of steps done, for what changes with it.
            n_data: number of images in the data set.
            adversary: what `adversary` gave, where the objective has one.
        """

    def adversary(self, n_latents: int) -> Adversary:
        """The player that is trained beside the VAE."""
        return NoAdversary()


def linear_ramp(step: int, steps: int) -> float:
    """The part of a linear rise over `steps` steps that is done: min(1, step / steps).

    Args:
        step: number of steps done.
        steps: length of the rise; after 0 steps it is over from the start.

    >>> [linear_ramp(step, 4) for step in (0, 1, 4, 9)], linear_ramp(0, 0)
    ([0.0, 0.25, 1.0, 1.0], 1.0)
    """
    return min(1.0, step / steps) if steps else 1.0


def check_nonnegative(**parameters: float | int) -> None:
    """Raise a ValueError that names the first parameter below 0."""
    for name, value in parameters.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0; got {value}")
