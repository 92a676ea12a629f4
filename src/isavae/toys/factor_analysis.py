"""Factor analysis under the β-weighted free energy, everything in closed form (Appendix B.2).

z ~ N(0, I), x | z ~ N(W z, D). The free energy of a Gaussian q,

    F_β(q, W) = E_q log p(x | z) - β KL(q(z) || p(z)),

is maximised over q exactly, jointly normal or mean-field. β-weighted inference on x is ordinary
inference on x replicated M = 1/β times. All quantities are averages per datum, in nats; data enter
through their second moment S = 1/N Σ x xᵀ only. Leading dimensions of W are a batch: a sweep over
a thousand weight matrices is one call.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class FactorAnalysis:
    """The linear Gaussian model z ~ N(0, I), x | z ~ N(W z, D) of appendix B.

    Args:
        weights: W, one matrix or a batch of them.
        noise: D, the covariance of x given z.

    Raises:
        ValueError: If W and D do not fit, or D is not a covariance.

    Examples:
        >>> model = FactorAnalysis(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2))
        >>> moment = model.covariance
        >>> bool(model.log_evidence(moment).isclose(model.free_energy(moment)))
        True
        >>> rotated = FactorAnalysis(model.weights @ rotation(torch.tensor(0.5)), torch.eye(2))
        >>> bool(rotated.log_evidence(moment) > rotated.free_energy(moment) + 0.05)
        True
    """

    weights: Float[Tensor, "*batch data latents"]
    noise: Float[Tensor, "rows columns"]

    def __post_init__(self) -> None:
        if self.noise.shape != (self.weights.shape[-2],) * 2:
            raise ValueError(
                f"D must be square with the {self.weights.shape[-2]} rows of W, but has the shape "
                f"{tuple(self.noise.shape)}; pass torch.diag(variances) for independent noise"
            )
        if torch.linalg.cholesky_ex(self.noise).info != 0:
            raise ValueError(
                f"D must be a positive definite covariance, but is {self.noise.tolist()}; "
                "give every dimension some noise"
            )

    @property
    def covariance(self) -> Float[Tensor, "*batch data data"]:
        """Covariance of x, W Wᵀ + D."""
        return self.weights @ self.weights.mT + self.noise

    def log_evidence(self, moment: Float[Tensor, "data data"]) -> Float[Tensor, "*batch"]:
        """Average log p(x) of data with a second moment S: -½ [log |2π C| + tr(C⁻¹ S)]."""
        return _gaussian_log_density(self.covariance, moment)

    def precision(self, beta: float = 1.0) -> Float[Tensor, "*batch latents latents"]:
        """Precision of the best joint q, Σ̃⁻¹ = M Wᵀ D⁻¹ W + I, M = 1/β (B.2)."""
        identity = torch.eye(self.weights.shape[-1], dtype=self.weights.dtype)
        return self._scaled_transpose(beta) @ self.weights + identity

    def posterior_covariance(
        self, beta: float = 1.0, mean_field: bool = True
    ) -> Float[Tensor, "*batch latents latents"]:
        """Covariance of the best q: the inverse of the precision, or of its diagonal.

        Args:
            beta: Weight of the KL divergence.
            mean_field: Whether q has independent latents.
        """
        precision = self.precision(beta)
        if mean_field:
            return torch.diag_embed(1 / precision.diagonal(dim1=-2, dim2=-1))
        return torch.linalg.inv(precision)

    def recognition(self, beta: float = 1.0) -> Float[Tensor, "*batch latents data"]:
        """The matrix R of the posterior mean R x = Σ̃ M Wᵀ D⁻¹ x, the same for both kinds of q."""
        return torch.linalg.solve(self.precision(beta), self._scaled_transpose(beta))

    def free_energy(
        self, moment: Float[Tensor, "data data"], beta: float = 1.0, mean_field: bool = True
    ) -> Float[Tensor, "*batch"]:
        """The largest F_β over q, per datum.

        Args:
            moment: S, the data's second moment.
            beta: Weight of the KL divergence.
            mean_field: Whether q is a product over latents, or any normal distribution.
        """
        recognition = self.recognition(beta)
        covariance = self.posterior_covariance(beta, mean_field)
        means = recognition @ moment @ recognition.mT
        kl = 0.5 * (
            (covariance + means).diagonal(dim1=-2, dim2=-1).sum(-1)
            - self.weights.shape[-1]
            - torch.logdet(covariance)
        )
        missed = torch.eye(len(moment), dtype=moment.dtype) - self.weights @ recognition
        residual = missed @ moment @ missed.mT + self.weights @ covariance @ self.weights.mT
        return _gaussian_log_density(self.noise, residual) - beta * kl

    def _scaled_transpose(self, beta: float) -> Tensor:
        """M Wᵀ D⁻¹."""
        if not beta > 0:
            raise ValueError(
                f"beta must be positive, but is {beta}; beta = 1 is ordinary inference"
            )
        return torch.linalg.solve(self.noise, self.weights).mT / beta


def maximum_likelihood_weights(
    moment: Float[Tensor, "data data"], noise: Float[Tensor, "data data"], n_latents: int
) -> Float[Tensor, "data latents"]:
    """The W of largest likelihood for a given D, with columns orthogonal under D⁻¹.

    W = L U (Λ - I)^½ with D = L Lᵀ and L⁻¹ S L⁻ᵀ = U Λ Uᵀ, its largest eigenvalues, those below one
    cut off. Any W R with a rotation R is as likely; this one has a diagonal posterior precision.

    Args:
        moment: S, the data's second moment.
        noise: D, the covariance of x given z.
        n_latents: Number of columns of W, at most that of its rows.

    Raises:
        ValueError: If W would have no column, or more columns than rows.
    """
    if not 1 <= n_latents <= len(moment):
        raise ValueError(
            f"n_latents must be between 1 and the {len(moment)} dimensions of the data, not "
            f"{n_latents}: further columns of W would be zero"
        )
    root = torch.linalg.cholesky(noise)
    half = torch.linalg.solve_triangular(root, moment, upper=False)
    white = torch.linalg.solve_triangular(root, half.mT, upper=False)
    values, vectors = torch.linalg.eigh(white)
    largest = values.flip(0)[:n_latents].sub(1).clamp_min(0).sqrt()
    return root @ (vectors.flip(1)[:, :n_latents] * largest)


def rotation(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2 2"]:
    """The rotation of the plane by an angle in radians (a batch of them)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def second_moment(x: Float[Tensor, "n data"]) -> Float[Tensor, "data data"]:
    """S = 1/N Σ x xᵀ; the model has mean zero, so no mean is taken off."""
    return x.mT @ x / len(x)


def pruning_weights(
    alpha: Float[Tensor, "*batch"], contrast: float = 1.0
) -> Float[Tensor, "*batch 2 3"]:
    """The weights of experiment 2, whose first two columns share one direction.

    x = α/√2 (1, 1) z1 + b/√2 (1, 1) z2 + ρ/√2 (1, -1) z3 + ε with α² + b² = 1: the likelihood
    does not depend on α.

    Args:
        alpha: α in [-1, 1].
        contrast: ρ.
    """
    other, third = (1 - alpha**2).sqrt(), torch.full_like(alpha, contrast)
    upper = torch.stack([alpha, other, third], -1)
    lower = torch.stack([alpha, other, -third], -1)
    return torch.stack([upper, lower], -2) / math.sqrt(2)


def _gaussian_log_density(covariance: Tensor, moment: Tensor) -> Tensor:
    """Average log N(x; 0, C) over x with the second moment S."""
    fit = torch.linalg.solve(covariance, moment).diagonal(dim1=-2, dim2=-1).sum(-1)
    return -0.5 * (moment.shape[-1] * math.log(2 * math.pi) + torch.logdet(covariance) + fit)
