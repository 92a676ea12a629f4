"""`GeneralizedNormal`: the generalised normal law, the paper's "ICA" prior (Eq. 5)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all


class GeneralizedNormal(Distribution):
    """p(z) = p / (2 a Γ(1/p)) exp(-|z/a|^p), Eq. 5 in `scipy.stats.gennorm`'s parametrisation.

    Eq. 5 writes exp(-|z|^p / s): its s is a^p. p = 2 is N(0, a²/2), p = 1 Laplace(0, a), p → ∞ the
    uniform law on (-a, a). The only Lp-spherical law with independent axes.

    Args:
        p: Exponent, positive: below 2 leptokurtic, above 2 platykurtic.
        scale: a, positive.

    Raises:
        ValueError: For a p or a scale that is not positive.

    Example:
        >>> law = GeneralizedNormal(torch.tensor([1.0, 2.0, 8.0]), 1.0)
        >>> law.variance
        tensor([2.0000, 0.5000, 0.3146])
        >>> law.rsample((4,)).shape
        torch.Size([4, 3])
    """

    has_rsample = True
    arg_constraints = {"p": constraints.positive, "scale": constraints.positive}  # noqa: RUF012  # pyrefly: ignore
    support = constraints.real

    def __init__(
        self,
        p: Float[Tensor, "..."] | float | int,
        scale: Float[Tensor, "..."] | float | int = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        self.p, self.scale = broadcast_all(p, scale)
        super().__init__(self.p.shape, validate_args=validate_args)

    @classmethod
    def from_kurtosis(
        cls,
        kurtosis: Float[Tensor, "..."] | float | int,
        scale: Float[Tensor, "..."] | float | int = 1.0,
        validate_args: bool | None = None,
    ) -> "GeneralizedNormal":
        """P = 2 / (1 + κ): κ > 0 is leptokurtic, -1 < κ < 0 platykurtic (Eq. 5).

        Raises:
            ValueError: If κ is not above -1.

        Example:
            >>> GeneralizedNormal.from_kurtosis(1.0).p  # Laplace
            tensor(1.)
        """
        kurtosis = torch.as_tensor(kurtosis)
        if not bool((kurtosis > -1).all()):
            raise ValueError(
                "The kurtosis κ must be above -1, where p = 2 / (1 + κ) ends, not "
                f"{kurtosis.tolist()}: the flattest law is the uniform one."
            )
        return cls(2 / (1 + kurtosis), scale, validate_args=validate_args)

    @property
    def kurtosis(self) -> Float[Tensor, "..."]:
        """κ of p = 2 / (1 + κ) (Eq. 5), not the fourth standardised moment."""
        return 2 / self.p - 1

    @property
    def mean(self) -> Float[Tensor, "..."]:
        return torch.zeros_like(self.scale)

    @property
    def mode(self) -> Float[Tensor, "..."]:
        return torch.zeros_like(self.scale)

    @property
    def variance(self) -> Float[Tensor, "..."]:
        """a² Γ(3/p) / Γ(1/p)."""
        return self.scale**2 * (torch.lgamma(3 / self.p) - torch.lgamma(1 / self.p)).exp()

    def entropy(self) -> Float[Tensor, "..."]:
        """1/p - log(p / (2 a Γ(1/p))), in nats."""
        return 1 / self.p - self._log_normaliser()

    def _log_normaliser(self) -> Tensor:
        # logΓ(1/p) = logΓ(1 + 1/p) + log p: log p cancels, and nothing large is left at large p.
        return -math.log(2) - self.scale.log() - torch.lgamma(1 + 1 / self.p)

    def log_prob(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if self._validate_args:
            self._validate_sample(value)
        return self._log_normaliser() - self._power(value)

    def _power(self, z: Tensor) -> Tensor:
        """|z/a|^p with a guarded input: at 0, where p < 1 has an infinite slope, ours is 0."""
        dtype = torch.promote_types(torch.promote_types(z.dtype, self.p.dtype), torch.float32)
        ratio = (z.to(dtype) / self.scale).abs()
        return (self.p * ratio.clamp_min(torch.finfo(ratio.dtype).tiny).log()).exp()

    def cdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if self._validate_args:
            self._validate_sample(value)
        tail = torch.special.gammaincc(1 / self.p, self._power(value)) / 2
        return torch.where(value > 0, 1 - tail, tail)

    def icdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Quantiles, by bisection of the logarithm of |z/a| in its tail: exact to the last digits.

        Example:
            >>> GeneralizedNormal(1.0, 1.0).icdf(torch.tensor([0.0, 0.25, 0.5]))
            tensor([   -inf, -0.6931,  0.0000])
        """
        dtype = torch.promote_types(value.dtype, self.p.dtype)
        value, p = torch.broadcast_tensors(value.double(), self.p.double())
        tail = torch.minimum(value, 1 - value)
        low, high = torch.full_like(p, -100.0), math.log(1000) / p  # e^-1000 is no double
        for _ in range(70):
            middle = (low + high) / 2
            beyond = torch.special.gammaincc(1 / p, (p * middle).exp()) / 2 > tail
            low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
        size = torch.where(tail == 0, math.inf, high.exp())
        return ((value - 0.5).sgn() * size * self.scale).to(dtype)

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        """Exact draws, differentiable in p and a: z = a r G^(1/p), r uniform on (-1, 1).

        G ~ Gamma(1 + 1/p), so that |r|^p G ~ Gamma(1/p), whose own draws would underflow.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        p = self.p.expand(shape)
        gamma = torch._standard_gamma(1 + 1 / p)
        return self.scale * (2 * torch.rand_like(p) - 1) * gamma ** (1 / p)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "GeneralizedNormal":
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.p, new.scale = self.p.expand(batch_shape), self.scale.expand(batch_shape)
        Distribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new
