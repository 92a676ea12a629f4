"""`GeneralizedNormal`: the generalised normal distribution, the paper's "ICA" prior (Eq. 5)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from isavae.distributions.standard_cdf import StandardCDF, StandardQuantile


class GeneralizedNormal(Distribution):
    """p(z) = p / (2 a Γ(1/p)) exp(-|(z - μ)/a|^p), as `scipy.stats.gennorm` (Eq. 5 for μ = 0).

    Eq. 5 writes exp(-|z|^p / s): its s is a^p. p = 2 is N(μ, a²/2), p = 1 Laplace(μ, a), p → ∞ the
    uniform distribution on (μ - a, μ + a). With μ = 0 it is the only Lp-spherical distribution with
    independent axes. Parameters in half precision are computed with in single.

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

        Args:
            kappa: κ.
            loc: The location.
            scale: The scale, as of the class.
            validate_args: As for every distribution of torch.

        Raises:
            ValueError: If κ is not above -1.

        Examples:
            >>> GeneralizedNormal.from_kappa(1.0).p  # Laplace
            tensor(1.)
        """
        kappa = torch.as_tensor(kappa)
        if not torch._is_all_true(kappa > -1):
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
        p = self._single(self.p)
        return self.scale**2 * (torch.lgamma(3 / p) - torch.lgamma(1 / p)).exp()

    def entropy(self) -> Float[Tensor, "..."]:
        """1/p - log(p / (2 a Γ(1/p))), in nats."""
        return 1 / self._single(self.p) - self._log_normaliser()

    def _log_normaliser(self) -> Tensor:
        # logΓ(1/p) = logΓ(1 + 1/p) + log p: log p cancels, and nothing large is left at large p.
        p, scale = self._single(self.p), self._single(self.scale)
        return -math.log(2) - scale.log() - torch.lgamma(1 + 1 / p)

    def log_prob(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if self._validate_args:
            self._validate_sample(value)
        # The slope of |x|^p at 0, infinite for p < 1, is set to 0.
        size = self._standard(value).abs()
        power = (self.p * size.clamp_min(torch.finfo(size.dtype).tiny).log()).exp()
        return self._log_normaliser() - power

    def _standard(self, z: Tensor) -> Tensor:
        """(z - μ)/a."""
        return (self._single(z) - self.loc) / self.scale

    def _single(self, x: Tensor) -> Tensor:
        """A parameter or a value with at least single precision, and that of the parameters."""
        dtype = torch.promote_types(torch.promote_types(x.dtype, self.p.dtype), torch.float32)
        return x.to(dtype)

    def cdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """P(Z ≤ value), differentiable in the value and in all parameters; shapes broadcast."""
        if self._validate_args:
            self._validate_sample(value)
        x, p = torch.broadcast_tensors(self._standard(value).double(), self.p.double())
        return StandardCDF.apply(p, x).to(self._single(value).dtype)

    def icdf(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The quantile of each probability, differentiable in it and in all parameters.

        NaN outside [0, 1]; shapes broadcast.

        Examples:
            >>> GeneralizedNormal(p=1.0).icdf(torch.tensor([0.0, 0.25, 0.5, 1.5]))
            tensor([   -inf, -0.6931,  0.0000,     nan])
        """
        share, p = torch.broadcast_tensors(value.double(), self.p.double())
        # By symmetry, from the lower half: there small probabilities keep their digits.
        upper = share > 0.5
        x = StandardQuantile.apply(p, torch.where(upper, 1 - share, share))
        x = torch.where(upper, -x, x)
        return (self.loc + self.scale * x).to(self._single(value).dtype)

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        """Exact draws, differentiable in all parameters: z = μ + a r G^(1/p), r uniform on (-1, 1).

        G ~ Gamma(1 + 1/p), so that |r|^p G ~ Gamma(1/p), whose own draws would underflow.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        p = self._single(self.p).expand(shape)
        gamma = torch._standard_gamma(1 + 1 / p)
        return self.loc + self.scale * (2 * torch.rand_like(p) - 1) * gamma ** (1 / p)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "GeneralizedNormal":
        new = type(self).__new__(type(self)) if _instance is None else _instance
        parameters = (self.loc, self.scale, self.p)
        new.loc, new.scale, new.p = (x.expand(batch_shape) for x in parameters)
        Distribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new
