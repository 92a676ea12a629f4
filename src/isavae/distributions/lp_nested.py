"""`LpNested`: the Lp-nested symmetric distribution of a tree (Eqs. 7, 8, 11; Algorithm 1)."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from isavae.distributions import norms
from isavae.distributions.parameters import as_parameters, check_not_nan, check_width
from isavae.distributions.radial import entropy_in_shape, log_shape, log_shape_of_eq_11
from isavae.distributions.tree import LpTree
from isavae.distributions.tree_index import index_of, working_dtype


class LpNested(Distribution):
    """The density p(z) = ψ0(f(z)) / (f(z)^(n-1) S_f(1)) of a tree's Lp-nested f (Eq. 7).

    Without `radial`, ψ0 is the distribution of Eq. 11, v^p0 / s ~ Gamma(n/p0, 1), which makes the
    subspaces of an ISA tree independent; then f^(n-1) cancels and, in nats,

        log p(z) = -f(z)^p0 / s + log p0 - logΓ(n/p0) - (n/p0) log s - log S_f(1).

    All exponents 2 and s = 2 is N(0, I); **s = 1, the default as published, is N(0, I/2)**. See
    `LpNested.standardised` for unit variance. Densities are computed in float64 and returned in the
    parameters' precision; half precision is returned as float32.

    Args:
        tree: The tree, as `LpTree` or its text.
        scale: s of Eq. 11, positive; a number or a tensor of batch shape.
        exponents: Replaces the tree's exponents: one per inner node in preorder, on the last axis.
            It may require a gradient.
        radial: A distribution over the positive numbers for f(z), in place of Eq. 11.
        validate_args: As in every torch distribution; `False` skips the checks, which copy values
            from the device.

    Raises:
        ValueError: For exponents or scales that are not positive, exponents of the wrong count, or
            a radial distribution that is not over the positive numbers.

    Examples:
        >>> prior = LpNested("2.1[2.2*4, 2.2*4]")
        >>> prior.rsample((5,)).shape
        torch.Size([5, 8])
        >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
        >>> z = torch.tensor([0.5, -1.0, 2.0])
        >>> torch.allclose(LpNested("2*3", scale=2).log_prob(z), normal.log_prob(z).sum())
        True
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012  # pyrefly: ignore
        "exponents": constraints.independent(constraints.positive, 1),
        "scale": constraints.positive,
    }
    support = constraints.real_vector

    def __init__(
        self,
        tree: LpTree | str,
        scale: Float[Tensor, "..."] | float | int = 1.0,
        exponents: Float[Tensor, "... nodes"] | None = None,
        radial: Distribution | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.tree = LpTree.parse(tree) if isinstance(tree, str) else tree
        self.radial = radial
        check = Distribution._validate_args if validate_args is None else validate_args
        given = (self.tree, scale, exponents, radial)
        self.exponents, self.scale, batch_shape = as_parameters(*given, check=check)
        self._prepare(batch_shape, check)

    def _prepare(self, batch_shape: torch.Size, validate_args: bool) -> None:
        Distribution.__init__(self, batch_shape, torch.Size([self.tree.n]), validate_args=False)
        self._validate_args = validate_args
        self._index = index_of(self.tree, self.exponents.device)
        # A graph is differentiated only once: with learned parameters, every call builds its own.
        learned = self.exponents.requires_grad or self.scale.requires_grad
        self._known_constants = None if learned else self._constants()

    def _constants(self) -> tuple[Tensor, Tensor, Tensor]:
        """The exponents, log s and the log-normaliser of Eq. 7, in the working precision."""
        p, s = self._working_parameters()
        log_s = s.log()
        surface = norms.log_surface(p, self._index)
        if self.radial is not None:
            return p, log_s, -surface
        p0, n = p[..., 0], self.tree.n
        return p, log_s, p0.log() - torch.lgamma(n / p0) - n / p0 * log_s - surface

    def _working_parameters(self) -> tuple[Tensor, Tensor]:
        dtype = working_dtype(self.exponents.device)
        return self.exponents.to(dtype), self.scale.to(dtype)

    @classmethod
    def standardised(
        cls,
        tree: LpTree | str,
        exponents: Float[Tensor, "... nodes"] | None = None,
        validate_args: bool | None = None,
    ) -> "LpNested":
        """The distribution of Eq. 11 whose scale makes the mean variance of the leaves 1.

        Args:
            tree: The tree, or its text.
            exponents: In place of those of the tree, one per inner node in preorder.
            validate_args: Whether arguments of methods are checked, as in torch.

        Raises:
            ValueError: If that scale, a power of p0 / 2, is beyond the precision of the exponents.

        Examples:
            >>> LpNested.standardised("2*3").scale
            tensor(2.)
        """
        unit = cls(tree, exponents=exponents, validate_args=validate_args)
        # Variances grow with s^(2/p0).
        scale = unit.variance.mean(-1) ** (-unit.exponents[..., 0] / 2)
        if unit._validate_args and not torch._is_all_true(scale.isfinite() & (scale > 0)):
            raise ValueError(
                f"The scale of unit variance of {unit.tree} must be within the range of "
                f"{scale.dtype}, and is not: pass exponents= in float64, or lower the root's."
            )
        return cls(unit.tree, scale, exponents, validate_args=validate_args)

    @property
    def subspaces(self) -> tuple[slice, ...]:
        """The leaves below each child of the root."""
        return self.tree.subspaces

    def norm(self, z: Float[Tensor, "... n"]) -> Float[Tensor, "..."]:
        """f(z), the value of the tree's root (Eq. 9).

        Examples:
            >>> LpNested("2[z, 1*2]").norm(torch.tensor([3.0, 2.0, -2.0]))
            tensor(5.)
        """
        check_width(z, self.tree)
        log_norm = norms.log_norm(z, self._working_parameters()[0], self._index)
        return torch.where((z == 0).all(-1), 0.0, log_norm.exp()).to(self._result_dtype(z))

    def subspace_norms(self, z: Float[Tensor, "... n"]) -> Float[Tensor, "... subspaces"]:
        """The value of each child of the root: the norms of the subspaces.

        Examples:
            >>> LpNested("2[z, 1*2]").subspace_norms(torch.tensor([3.0, 2.0, -2.0]))
            tensor([3., 4.])
        """
        check_width(z, self.tree)
        log_norms = norms.log_subspace_norms(z, self._working_parameters()[0], self._index)
        return log_norms.exp().movedim(0, -1).to(self._result_dtype(z))

    def log_surface(self) -> Float[Tensor, "..."]:
        """Log S_f(1), the log-surface of the unit sphere of f (Eq. 8), in nats."""
        p, _ = self._working_parameters()
        return norms.log_surface(p, self._index).to(self._result_dtype()).expand(self.batch_shape)

    def log_prob(self, value: Float[Tensor, "... n"]) -> Float[Tensor, "..."]:
        check_width(value, self.tree)
        p, log_s, log_normaliser = self._known_constants or self._constants()
        log_norm = norms.log_norm(value, p, self._index)
        shape = (
            log_shape_of_eq_11(log_norm, p[..., 0], log_s)
            if self.radial is None
            else log_shape(self.radial, log_norm, self.tree.n)
        )
        log_prob = (log_normaliser + shape).to(self._result_dtype(value))
        # A NaN leaf makes the result NaN, and there are fewer results to check.
        if self._validate_args and not torch._is_all_true(log_prob == log_prob):
            check_not_nan(value)
        return log_prob

    def _result_dtype(self, z: Tensor | None = None) -> torch.dtype:
        dtype = torch.promote_types(self.exponents.dtype, self.scale.dtype)
        dtype = torch.promote_types(dtype, self.radial.mean.dtype) if self.radial else dtype
        dtype = dtype if z is None else torch.promote_types(dtype, z.dtype)
        return torch.promote_types(dtype, torch.float32)

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        """Exact samples (Algorithm 1): the radius is split down the tree by Dirichlet draws.

        Differentiable in every exponent and in the scale or the radial distribution's parameters.

        Returns:
            Samples of shape (*sample_shape, *batch_shape, n).
        """
        shape = self._extended_shape(torch.Size(sample_shape))[:-1]
        dtype = self._result_dtype()
        return norms.split_radius(
            self._log_radius(shape, dtype), self.exponents.to(dtype), self._index
        )

    def _log_radius(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        if self.radial is not None:
            sample_shape = shape[: len(shape) - len(self.batch_shape)]
            return self.radial.expand(self.batch_shape).rsample(sample_shape).to(dtype).log()
        p0, s = self.exponents[..., 0].to(dtype), self.scale.to(dtype)
        log_gamma = norms.log_gamma_draws((self.tree.n / p0).expand(shape))
        return (log_gamma + s.log()) / p0

    def entropy(self) -> Float[Tensor, "..."]:
        """The entropy in nats: n/p0 minus the log-normaliser under Eq. 11.

        Under another radial distribution ψ, H(ψ) + (n-1) E log v + log S_f(1), the first two by
        quadrature to about nine digits, or six for a ψ in float32.

        Raises:
            ValueError: If quadrature fails, for a `radial` with an edge or without a variance; in a
                compiled function a RuntimeError.
        """
        p, _ = self._working_parameters()
        if self.radial is None:
            entropy = self.tree.n / p[..., 0] - self._constants()[-1]
        else:
            of_radius = entropy_in_shape(self.radial, self.tree.n)
            entropy = of_radius + norms.log_surface(p, self._index)
        return entropy.to(self._result_dtype()).expand(self.batch_shape)

    @property
    def mean(self) -> Float[Tensor, "... n"]:
        shape = self.batch_shape + self.event_shape
        return torch.zeros(shape, dtype=self._result_dtype(), device=self.exponents.device)

    @property
    def mode(self) -> Float[Tensor, "... n"]:
        """0, where the density of Eq. 11 is highest for every tree.

        Raises:
            NotImplementedError: If `radial` replaces Eq. 11.
        """
        if self.radial is not None:
            raise NotImplementedError(
                f"A mode needs the radial distribution of Eq. 11, not {self.radial}, under which a "
                "whole sphere f(z) = v may be densest: compare log_prob along a ray instead."
            )
        return self.mean

    @property
    def variance(self) -> Float[Tensor, "... n"]:
        """E z_j²: the radius' second moment times those of the Beta shares on the way down."""
        p, s = self._working_parameters()
        if self.radial is None:
            radius = 2 / p[..., 0] * s.log() + norms.log_moment(self.tree.n, p[..., 0])
        else:
            radius = (self.radial.variance + self.radial.mean**2).log().to(p.dtype)
        logs = norms.log_leaf_moments(radius.expand(self.batch_shape), p, self._index)
        variance = logs.exp().movedim(0, -1).to(self._result_dtype())
        return variance.expand(self.batch_shape + self.event_shape)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "LpNested":
        new = type(self).__new__(type(self)) if _instance is None else _instance
        batch_shape = torch.Size(batch_shape)
        new.tree = self.tree
        new.exponents = self.exponents.expand(batch_shape + self.exponents.shape[-1:])
        new.scale = self.scale.expand(batch_shape)
        new.radial = self.radial.expand(batch_shape) if self.radial else None
        new._prepare(batch_shape, self._validate_args)
        return new

    def __repr__(self) -> str:
        radial = "" if self.radial is None else f", radial={self.radial}"
        batch = f", batch_shape={tuple(self.batch_shape)}" if self.batch_shape else ""
        return f"LpNested({str(self.tree)!r}{radial}{batch})"
