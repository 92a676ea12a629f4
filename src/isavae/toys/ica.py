"""Over-complete independent component analysis by variational inference (Appendix B, Fig. 1).

z_k ~ Student-t of scale s with ν degrees of freedom, x | z ~ N(W z, σ² I), with more components
than dimensions. No encoder: every datum has its own normal factors q(z_nk) = N(m_nk, s_nk²), so
that what is seen is the bias of the mean-field free energy itself, in nats,

    F_β = E_q log p(x_n | z) - β Σ_k [E_q log q(z_k) - E_q log p(z_k)].
"""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# The trapezoidal rule of E_q log p(z_k) spans ±7 s_nk. Under a normal weight its error falls like
# exp(-2π d / spacing), d = √ν s / s_nk the distance of the integrand's singularity from the real
# line: 1e-7 nats at s_nk = 2 s. The widest q, the best fit to the prior, has s_nk = 1.1 s.
REACH, NODES = 7.0, 41


@final
@dataclass(frozen=True, eq=False)
class Factors:
    """q(z_n) = Π_k N(mean_nk, std_nk²), one row a datum."""

    mean: Float[Tensor, "n components"]
    std: Float[Tensor, "n components"]


@final
@dataclass(frozen=True, eq=False)
class StudentICA:
    """Student-t components, mixed linearly, with normal noise (appendix B).

    Args:
        weights: W, one column a component.
        noise: σ, the standard deviation of x given z.
        scale: s, of every component.
        dof: ν, degrees of freedom; the paper's experiment has 3.5.

    Raises:
        ValueError: If noise, scale or dof is not positive.

    Examples:
        >>> model = StudentICA(directions(0, 60, 120), noise=0.3)
        >>> x = model.sample(100, seed=0)
        >>> q = model.infer(x)
        >>> x.shape, q.mean.shape, model.free_energy(x, q).shape
        (torch.Size([100, 2]), torch.Size([100, 3]), torch.Size([100]))
    """

    weights: Float[Tensor, "data components"]
    noise: float
    scale: float = 1.0
    dof: float = 3.5

    def __post_init__(self) -> None:
        if not min(self.noise, self.scale, self.dof) > 0:
            raise ValueError(
                f"noise, scale and dof must be positive, but are {self.noise}, {self.scale} and "
                f"{self.dof}; a small noise is fine, none is not"
            )

    def sample(self, n: int, seed: int) -> Float[Tensor, "n data"]:
        """Draw data from the model.

        Args:
            n: Number of data.
            seed: Seed of the draws.
        """
        rng = np.random.default_rng(seed)
        data, components = self.weights.shape
        z = self.scale * rng.standard_t(self.dof, (n, components))
        noise = self.noise * rng.standard_normal((n, data))
        return torch.from_numpy(z).to(self.weights) @ self.weights.mT + torch.from_numpy(noise)

    def free_energy(
        self, x: Float[Tensor, "n data"], q: Factors, beta: float = 1.0
    ) -> Float[Tensor, "n"]:
        """F_β of every datum, in nats.

        Args:
            x: Data.
            q: Factors of the same data.
            beta: Weight of the KL divergence.
        """
        residual = (x - q.mean @ self.weights.mT).square().sum(1)
        spread = q.std.square() @ self.weights.square().sum(0)
        constant = x.shape[1] * math.log(2 * math.pi * self.noise**2)
        fit = -0.5 * ((residual + spread) / self.noise**2 + constant)
        entropy = q.std.log() + 0.5 * math.log(2 * math.pi * math.e)
        return fit + beta * (entropy - self.cross_entropy(q)).sum(1)

    def cross_entropy(self, q: Factors) -> Float[Tensor, "n components"]:
        """-E_q log p(z_k), by quadrature."""
        nodes, weights = _rule(q.mean)
        z = q.mean[..., None] + q.std[..., None] * nodes
        tail = torch.log1p(z.square() / (self.dof * self.scale**2)) @ weights
        half = self.dof / 2
        return (half + 0.5) * tail + (
            math.lgamma(half) - math.lgamma(half + 0.5)
            + 0.5 * math.log(self.dof * math.pi) + math.log(self.scale)
        )  # fmt: skip

    def infer(
        self, x: Float[Tensor, "n data"], beta: float = 1.0, start: Factors | None = None
    ) -> Factors:
        """The factors that maximise F_β, from a start (by default, those of a normal prior).

        Args:
            x: Data.
            beta: Weight of the KL divergence.
            start: Factors of the same data under similar weights.
        """
        q = self._normal_start(x) if start is None else start
        for _ in range(300):
            before, q = q, self.improve(x, q, beta)
            moved = (q.mean - before.mean).abs().amax() + (q.std - before.std).abs().amax()
            if moved < 1e-4 * self.scale:
                break
        return q

    def improve(self, x: Float[Tensor, "n data"], q: Factors, beta: float = 1.0) -> Factors:
        """One sweep over the factors, which never lowers any datum's F_β.

        log(1 + z²/νs²) is concave in z²: its tangent at the present z bounds -log p(z) from above
        by λ(z) z²/2 + const, λ = (ν + 1) / (ν s² + z²). Under the bound the means solve a linear
        system and each standard deviation a quadratic equation.
        """
        nodes, weights = _rule(q.mean)
        z = q.mean[..., None] + q.std[..., None] * nodes
        slope = (self.dof + 1) / (self.dof * self.scale**2 + z.square())
        flat, tilt, curve = (slope @ (weights * nodes**power) for power in (0, 1, 2))
        gram = self.weights.mT @ self.weights / self.noise**2
        pull = x @ self.weights / self.noise**2 - beta * q.std * tilt
        mean = torch.linalg.solve(gram + beta * torch.diag_embed(flat), pull)
        linear, square = beta * mean * tilt, gram.diagonal() + beta * curve
        # The positive root of square s² + linear s - β; this form does not cancel for linear > 0.
        std = 2 * beta / (linear + (linear.square() + 4 * beta * square).sqrt())
        return Factors(mean, std)

    def gradient(self, x: Float[Tensor, "n data"], q: Factors) -> Float[Tensor, "data components"]:
        """Gradient in W of the average F_β; at the best q also that of max_q F_β."""
        return (x.mT @ q.mean / len(x) - self.weights @ _moment(q)) / self.noise**2

    def _normal_start(self, x: Float[Tensor, "n data"]) -> Factors:
        gram = self.weights.mT @ self.weights / self.noise**2
        precision = gram + torch.eye(len(gram), dtype=gram.dtype) / self.scale**2
        mean = torch.linalg.solve(precision, self.weights.mT @ x.mT / self.noise**2).mT
        return Factors(mean, precision.diagonal().rsqrt().expand_as(mean))


@final
@dataclass(frozen=True, eq=False)
class Step:
    """A point of an ascent: the model, its best factors and the average free energy in nats."""

    model: StudentICA
    q: Factors
    free_energy: float


def ascend(
    model: StudentICA,
    x: Float[Tensor, "n data"],
    beta: float = 1.0,
    magnitudes: bool = True,
    tolerance: float = 1e-7,
) -> list[Step]:
    """Learn W by variational inference: the start, then steps of increasing free energy.

    BFGS ascent of max_q F_β(q, W). Every trial infers the factors anew, from those of the last
    step. Needs `scipy`.

    Args:
        model: The model to start from; the paper starts from the true one.
        x: Data.
        beta: Weight of the KL divergence.
        magnitudes: Whether the lengths of the columns of W are learned, or only their directions.
        tolerance: The ascent ends when ten steps raise the free energy by less, in nats per datum.
    """
    from scipy.optimize import minimize

    lengths = None if magnitudes else model.weights.norm(dim=0)
    steps: list[Step] = []
    trials: dict[bytes, Step] = {}  # since the last step, by their columns

    def loss(columns: np.ndarray) -> tuple[float, np.ndarray]:
        free = torch.tensor(columns).view_as(model.weights).requires_grad_()
        weights = free if lengths is None else free * (lengths / free.norm(dim=0))
        tried = replace(model, weights=weights.detach())
        q = tried.infer(x, beta, steps[-1].q if steps else None)
        energy = float(tried.free_energy(x, q, beta).mean())
        (gradient,) = torch.autograd.grad(weights, free, tried.gradient(x, q))
        trials[columns.tobytes()] = Step(tried, q, energy)
        return -energy, -gradient.numpy().ravel()

    def accept(columns: np.ndarray) -> None:
        steps.append(trials[columns.tobytes()])
        trials.clear()
        if len(steps) > 10 and steps[-1].free_energy - steps[-11].free_energy < tolerance:
            raise StopIteration

    start = model.weights.numpy().ravel()
    loss(start)
    accept(start)
    # Without a tolerance of its own: the search ends by `accept`, or when rounding hides progress.
    minimize(loss, start, jac=True, method="BFGS", callback=accept, options={"gtol": 0.0})
    return steps


def directions(*degrees: float | int) -> Float[Tensor, "2 components"]:
    """Unit vectors of the plane as columns.

    Examples:
        >>> directions(0, 90).round(decimals=3)
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()])


def overlap(weights: Float[Tensor, "data components"]) -> float:
    """How far columns are from orthogonal: Σ_{i≠j} (w_i · w_j)² / (Σ_i |w_i|²)², 0 if they are.

    Examples:
        >>> round(overlap(directions(0, 90)), 12), round(overlap(directions(0, 0)), 12)
        (0.0, 0.5)
    """
    gram = weights.mT @ weights
    crossed = gram.square().sum() - gram.diagonal().square().sum()
    return float(crossed / gram.diagonal().sum() ** 2)


def _rule(like: Tensor) -> tuple[Tensor, Tensor]:
    nodes = torch.linspace(-REACH, REACH, NODES, dtype=like.dtype)
    return nodes, torch.softmax(-0.5 * nodes**2, 0)


def _moment(q: Factors) -> Tensor:
    """Average E_q z zᵀ."""
    return q.mean.mT @ q.mean / len(q.mean) + torch.diag(q.std.square().mean(0))
