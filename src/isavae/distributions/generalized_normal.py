"""`GeneralizedNormal`: the generalised normal distribution, the paper's "ICA" prior (Eq. 5)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all


class GeneralizedNormal(Distribution):
    """p(z) = p / (2 a Γ(1/p)) exp(-|(z - μ)/a|^p), as `scipy.stats.gennorm` (Eq. 5 for μ = 0).

    Eq. 5 writes exp(-|z|^p / s): its s is a^p. p = 2 is N(μ, a²/2), p = 1 Laplace(μ, a), p → ∞ the
    uniform distribution on (μ - a, μ + a). With μ = 0 it is the only Lp-spherical distribution with
    independent axes.

    Args:
        loc: Mean μ.
        scale: a, positive.
        p: Exponent, positive: below 2 leptokurtic, above 2 platykurtic.

    Raises:
        ValueError: For a p or a scale that is not positive.

    Examples:
        >>> latent = GeneralizedNormal(0.0, 1.0, torch.tensor([1.0, 2.0, 8.0]))
        >>> latent.variance
        tensor([2.0000, 0.5000, 0.3146])
        >>> latent.rsample((4,)).shape
        torch.Size([4, 3])
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012  # pyrefly: ignore
        "loc": constraints.real,
        "scale": constraints.positive,
        "p": constraints.positive,
    }
    support = constraints.real

    def __init__(
        self,
        loc: Float[Tensor, "..."] | float | int = 0.0,
        scale: Float[Tensor, "..."] | float | int = 1.0,
        p: Float[Tensor, "..."] | float | int = 2.0,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale, self.p = broadcast_all(loc, scale, p)
        super().__init__(self.p.shape, validate_args=validate_args)

    @classmethod
    def from_kappa(
        cls,
        kappa: Float[Tensor, "..."] | float | int,
        loc: Float[Tensor, "..."] | float | int = 0.0,
        scale: Float[Tensor, "..."] | float | int = 1.0,
        validate_args: bool | None = None,
    ) -> "GeneralizedNormal":
        """The distribution with p = 2 / (1 + κ): κ > 0 is leptokurtic, -1 < κ < 0 platykurtic.

        Raises:
            ValueError: If κ is not above -1.

        Examples:
            >>> GeneralizedNormal.from_kappa(1.0).p  # Laplace
            tensor(1.)
        """
        kappa = torch.as_tensor(kappa)
        if not bool((kappa > -1).all()):
            raise ValueError(
                f"κ must be above -1, as p = 2 / (1 + κ), not {kappa.tolist()}: raise κ, or pass "
                "a large p."
            )
        return cls(loc, scale, 2 / (1 + kappa), validate_args=validate_args)

    @property
    def kappa(self) -> Float[Tensor, "..."]:
        """κ = 2 / p - 1 (Eq. 5), which is not the kurtosis."""
        return 2 / self.p - 1

    @property
    def mean(self) -> Float[Tensor, "..."]:
        return self.loc

    @property
    def mode(self) -> Float[Tensor, "..."]:
        return self.loc

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
        """|(z - μ)/a|^p; its slope at μ, infinite for p < 1, is set to 0."""
        dtype = torch.promote_types(torch.promote_types(z.dtype, self.p.dtype), torch.float32)
        ratio = ((z.to(dtype) - self.loc) / self.scale).abs()
        return (self.p * ratio.clamp_min(torch.finfo(ratio.dtype).tiny).log()).exp()

    def cdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if self._validate_args:
            self._validate_sample(value)
        tail = torch.special.gammaincc(1 / self.p, self._power(value)) / 2
        return torch.where(value > self.loc, 1 - tail, tail)

    def icdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Quantiles, by bisection of the logarithm of |(z - μ)/a| in its tail, to the last digits.

        Examples:
            >>> GeneralizedNormal(p=1.0).icdf(torch.tensor([0.0, 0.25, 0.5]))
            tensor([   -inf, -0.6931,  0.0000])
        """
        dtype = torch.promote_types(value.dtype, self.p.dtype)
        value, p = torch.broadcast_tensors(value.double(), self.p.double())
        tail = torch.minimum(value, 1 - value)
        low, high = torch.full_like(p, -100.0), math.log(1000) / p  # e^-1000 underflows
        for _ in range(70):
            middle = (low + high) / 2
            beyond = torch.special.gammaincc(1 / p, (p * middle).exp()) / 2 > tail
            low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
        size = torch.where(tail == 0, math.inf, high.exp())
        return (self.loc + (value - 0.5).sgn() * size * self.scale).to(dtype)

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        """Exact draws, differentiable in all parameters: z = μ + a r G^(1/p), r uniform on (-1, 1).

        G ~ Gamma(1 + 1/p), so that |r|^p G ~ Gamma(1/p), whose own draws would underflow.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        p = self.p.expand(shape)
        gamma = torch._standard_gamma(1 + 1 / p)
        return self.loc + self.scale * (2 * torch.rand_like(p) - 1) * gamma ** (1 / p)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "GeneralizedNormal":
        new = type(self).__new__(type(self)) if _instance is None else _instance
        parameters = (self.loc, self.scale, self.p)
        new.loc, new.scale, new.p = (x.expand(batch_shape) for x in parameters)
        Distribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new
