"""Decoder output to a distribution over images: p(x|z)."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent


class Likelihood(nn.Module, ABC):
    """A module from a decoder's output to p(x|z); `outputs` is its parameters per pixel."""

    outputs: ClassVar[int]

    @abstractmethod
    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        """The distribution over images, with their shape as event shape."""


@final
class BernoulliLikelihood(Likelihood):
    """Pixels in [0, 1] as independent Bernoulli variables with the decoder's logits (A.4)."""

    outputs = 1

    def forward(self, decoded: Float[Tensor, "batch channels height width"]) -> Distribution:
        return Independent(Bernoulli(logits=decoded, validate_args=False), 3)


LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": BernoulliLikelihood}


def build_likelihood(name: str) -> Likelihood:
    """The likelihood of that name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"a likelihood must be one of {', '.join(LIKELIHOODS)}; got {name!r}")
    return LIKELIHOODS[name]()
