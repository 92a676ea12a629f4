"""Mutual information of latents, exact: I(x; z_j) with the image, I(z_j; v_k) with factors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.distributions import conditional_entropies, least_stds, marginal_entropies
from isavae.metrics.codes import Codes
from isavae.metrics.factor_classes import Factor

# Nats about the image below which a latent counts as unused: a normal latent then has a correlation
# below 0.31 with its posterior mean and matches no latent of another seed, so it would dilute UDR.
# The published UDR compares KL(q(z_j|x) || N(0, 1)), an upper bound of I(x; z_j), with 0.01.
MIN_INFORMATION = 0.05


@final
@dataclass(frozen=True, eq=False)
class Information:
    """Mutual information of each row (a latent or a subspace) with each factor, in nats.

    Args:
        mutual: I(z_j; v_k), over the images whose v_k is known.
        factor_entropies: H(v_k) of the empirical distribution of classes.
        factors: Names of the columns.
        conditional_entropies: H(z_j | v_k), where it was computed; differential for continuous z_j.
        standard_errors: Of `mutual`, where it was sampled.
        least_stds: The least std of each latent whose narrowest posteriors were widened to it,
            because no grid resolves them (`distributions.least_stds`).
    """

    mutual: Float[Tensor, "rows factors"]
    factor_entropies: Float[Tensor, "factors"]
    factors: tuple[str, ...]
    conditional_entropies: Float[Tensor, "rows factors"] | None = None
    standard_errors: Float[Tensor, "rows factors"] | None = None
    least_stds: Mapping[int, float] = field(default_factory=dict)

    @property
    def normalized(self) -> Float[Tensor, "rows factors"]:
        """I(z_j; v_k) / H(v_k): the share of a factor's entropy that a row carries, in [0, 1]."""
        return self.mutual / self.factor_entropies

    @property
    def exactness(self) -> dict[str, object]:
        """The parameters of a score of exact information: which latents were widened, if any."""
        return {"information": "exact"} | named_stds(self.least_stds)

    def by_factor(self, values: Float[Tensor, "factors"]) -> dict[str, float]:
        """Values by factor name."""
        return dict(zip(self.factors, values.tolist(), strict=True))


def named_stds(least: Mapping[int, float]) -> dict[str, object]:
    """The note in a score's parameters that posteriors of some latents were widened; else empty."""
    return {"least_stds": {f"latent_{j}": std for j, std in least.items()}} if least else {}


def latent_information(codes: Codes) -> Float[Tensor, "latents"]:
    """I(x; z_j) = H(z_j) - H(z_j | x) of every latent, in nats, whatever the prior.

    x is one of the N images of the codes, so the information is at most log N. Posteriors too
    narrow for an exact entropy are widened to `distributions.least_stds`.

    Args:
        codes: Codes with posterior standard deviations.

    Raises:
        ValueError: If the codes are deterministic.

    Examples:
        >>> latent_information(Codes(torch.tensor([[0.0, -9.0], [0.0, 9.0]]), torch.zeros(2, 2)))
        tensor([0.0000, 0.6931], dtype=torch.float64)
    """
    mean, log_std, _ = resolved_posteriors(codes)
    given_image = log_std.double().mean(dim=0) + 0.5 * math.log(2 * math.pi * math.e)
    return (marginal_entropies(mean, log_std) - given_image).clamp_min(0)  # rounding


def exact_information(codes: Codes, factors: Sequence[str] | None = None) -> Information:
    """I(z_j; v_k) = H(z_j) - E_v H(z_j | v) for z_j ~ 1/N sum_n q(z_j | x_n), without sampling.

    Every entropy is that of a one-dimensional mixture of normals, to 1e-4 nats. Posteriors too
    narrow for that are widened; see `least_stds` of the result.

    Args:
        codes: Codes with posterior standard deviations.
        factors: Names; by default the grid's scored factors.

    Raises:
        ValueError: If the codes are deterministic (their differential entropies are -inf).
    """
    mean, log_std, least = resolved_posteriors(codes)
    columns = factor_columns(codes, factors)
    known = [column.labels.clamp(max=0) for column in columns]
    keys = [mask.numpy().tobytes() for mask in known]
    whole = dict(zip(keys, known, strict=True))  # factors known for the same images share H(z_j)
    classes = [(column.labels, len(column.counts)) for column in columns]
    partitions = [(mask, 1) for mask in whole.values()] + classes
    found = conditional_entropies(mean, log_std, partitions)
    entropies = {key: found[i][0] for i, key in enumerate(whole)}
    given = [c.weights @ h for c, h in zip(columns, found[len(whole) :], strict=True)]
    return information_from(columns, [entropies[key] for key in keys], given, least)


def resolved_posteriors(
    codes: Codes,
) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"], dict[int, float]]:
    """Means, log-stds that exact entropies resolve, and the least std of latents that needed one.

    Raises:
        NotApplicable: If the codes are deterministic.
    """
    mean, log_std = codes.posteriors()
    least = least_stds(mean, log_std)
    raised = {j: float(least[j]) for j in torch.nonzero(least)[:, 0].tolist()}
    return mean, torch.maximum(log_std, least.log().to(log_std.dtype)), raised


def factor_columns(codes: Codes, factors: Sequence[str] | None) -> list[Factor]:
    """Labels of the factors that a score averages over."""
    return [codes.factor(name) for name in codes.factor_names(factors)]


def information_about(
    columns: list[Factor], mutual: Float[Tensor, "rows factors"], **others: Any
) -> Information:
    """`Information` about some factors; `others` are its optional fields."""
    entropies = torch.tensor([column.entropy for column in columns], dtype=torch.float64)
    return Information(mutual, entropies, tuple(column.name for column in columns), **others)


def information_from(
    columns: list[Factor],
    before: list[Tensor],
    after: list[Tensor],
    least: Mapping[int, float] | None = None,
) -> Information:
    """From H(z_j) and H(z_j | v_k) for each factor."""
    given = torch.stack(after, dim=1)
    mutual = torch.stack(before, dim=1) - given
    return information_about(columns, mutual, conditional_entropies=given, least_stds=least or {})
