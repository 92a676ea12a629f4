"""Mutual information between subspaces (several latents together) and factors."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isavae.distributions import QuadraticNormals, log_mixture
from isavae.metrics.codes import Codes
from isavae.metrics.factor_classes import Factor
from isavae.metrics.information_gaps import gaps, score_of_factors
from isavae.metrics.mutual_information import (
    Information,
    factor_columns,
    information_about,
)
from isavae.metrics.score import Score

Subspace = slice | Sequence[int]


def subspace_information(
    codes: Codes,
    subspaces: Sequence[Subspace],
    factors: Sequence[str] | None = None,
    samples: int = 1024,
    seed: int = 0,
) -> Information:
    """I(z_S; v_k) = E [log q(z_S | v_k) - log q(z_S)] for whole subspaces S.

    Both densities are those of the full mixtures over all images; only the outer expectation is a
    mean over draws, so the estimate is unbiased and has a standard error.

    Args:
        codes: Codes with posterior standard deviations.
        subspaces: Latents of each subspace: slices, such as `LpTree.subspaces`, or indices.
        factors: Names; by default the grid's scored factors.
        samples: Number of draws.
        seed: Seed of the draws.

    Raises:
        ValueError: If the codes are deterministic or a subspace is empty or names no latent.
    """
    chosen = [latent_indices(subspace, codes.latents) for subspace in subspaces]
    return _summary(*_pointwise(codes, chosen, factors, samples, seed))


def subspace_mig(
    codes: Codes,
    subspaces: Sequence[Subspace],
    factors: Sequence[str] | None = None,
    samples: int = 1024,
    seed: int = 0,
    published: bool = False,
) -> Score:
    """MIG between whole subspaces: a factor may use all latents of one, but of one only.

    Args:
        codes: Codes with posterior standard deviations.
        subspaces: Latents of each subspace: slices, such as `LpTree.subspaces`, or indices.
        factors: Names; by default the grid's scored factors.
        samples: Number of draws.
        seed: Seed of the draws.
        published: Reproduce the published evaluation code, which counts log(1/N) once for every
            latent of a subspace instead of once: it adds (n_S - 1) H(v_k) to I(z_S; v_k). Harmless
            for equal sizes n_S, wrong otherwise.
    """
    chosen = [latent_indices(subspace, codes.latents) for subspace in subspaces]
    columns, pointwise = _pointwise(codes, chosen, factors, samples, seed)
    if published:
        extra = torch.tensor([len(latents) - 1.0 for latents in chosen], dtype=torch.float64)
        entropy = torch.tensor([column.entropy for column in columns], dtype=torch.float64)
        pointwise = pointwise + torch.outer(extra, entropy)[..., None]
    information = _summary(columns, pointwise)
    parameters = {"subspaces": chosen, "samples": samples, "seed": seed, "published": published}
    error = _gap_error(pointwise, information)
    return score_of_factors(gaps(information), information, parameters, error)


def _pointwise(
    codes: Codes,
    subspaces: list[list[int]],
    factors: Sequence[str] | None,
    samples: int,
    seed: int,
) -> tuple[list[Factor], Float[Tensor, "subspaces factors samples"]]:
    """Log q(z_S | v_k) - log q(z_S) for every draw."""
    columns = factor_columns(codes, factors)
    values = torch.empty(len(subspaces), len(columns), samples, dtype=torch.float64)
    for i, latents in enumerate(subspaces):
        normals = components(codes, latents)
        everywhere: Tensor | None = None  # log q(z_S), shared by the factors known for all images
        for k, factor in enumerate(columns):
            rows, z = draw(codes, samples, seed, factor.known)
            own, z = log_posterior(codes, rows, z, latents), z[:, latents]
            if len(factor.known) < len(codes):
                whole = log_mixture(z, normals[factor.known], own)
            else:
                everywhere = log_mixture(z, normals, own) if everywhere is None else everywhere
                whole = everywhere
            values[i, k] = _log_given(factor, rows, z, normals, own) - whole
    return columns, values


def _log_given(
    factor: Factor, rows: Tensor, z: Tensor, normals: QuadraticNormals, own: Tensor
) -> Float[Tensor, "samples"]:
    """Log q(z_S | v_k), each draw under the mixture of its own class."""
    log_q = torch.empty_like(own)
    classes = factor.labels[rows]
    for v in classes.unique():
        drawn = classes == v
        log_q[drawn] = log_mixture(z[drawn], normals[factor.labels == v], own[drawn])
    return log_q


def _summary(
    columns: list[Factor], pointwise: Float[Tensor, "subspaces factors samples"]
) -> Information:
    mutual, errors = pointwise.mean(dim=2), standard_error(pointwise)
    return information_about(columns, mutual, standard_errors=errors)


def _gap_error(pointwise: Tensor, information: Information) -> float:
    """Standard error of the mean gap; draws are shared, so differences are taken draw by draw."""
    count = min(2, len(pointwise))
    best = information.mutual.topk(count, dim=0).indices
    top = pointwise.gather(0, best[..., None].expand(-1, -1, pointwise.shape[2]))
    lead = top[0] - (top[1] if count == 2 else 0)
    return float(standard_error((lead / information.factor_entropies[:, None]).mean(dim=0)))


def standard_error(values: Float[Tensor, "... samples"]) -> Float[Tensor, "..."]:
    """Standard error of the mean of independent samples."""
    return values.std(dim=-1) / values.shape[-1] ** 0.5


def draw(
    codes: Codes, samples: int, seed: int, among: Int64[Tensor, "rows"] | None = None
) -> tuple[Int64[Tensor, "samples"], Float[Tensor, "samples latents"]]:
    """Independent draws z ~ q(z), and the rows whose posteriors they came from.

    Args:
        codes: Codes with posterior standard deviations.
        samples: Number of draws.
        seed: Seed of rows and noise.
        among: Rows to draw from, with replacement; by default all.
    """
    generator = torch.Generator().manual_seed(seed)
    size = len(codes) if among is None else len(among)
    rows = torch.randint(size, (samples,), generator=generator)
    rows = rows if among is None else among[rows]
    mean, log_std = codes.posteriors()
    return rows, Codes(mean[rows].double(), log_std[rows].double()).sample(generator)


def log_posterior(
    codes: Codes,
    rows: Int64[Tensor, "samples"],
    z: Float[Tensor, "samples latents"],
    latents: Sequence[int],
) -> Float[Tensor, "samples"]:
    """Log q(z_S | x_n) of each draw under its own posterior, summed over some latents."""
    mean, log_std = (values[rows][:, latents].double() for values in codes.posteriors())
    squares = ((z[:, latents] - mean) / log_std.exp()).square()
    return -(0.5 * squares + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)


def components(codes: Codes, latents: Sequence[int]) -> QuadraticNormals:
    """The posteriors of all images over some latents: the components of q(z_S)."""
    mean, log_std = (values[:, latents].double() for values in codes.posteriors())
    return QuadraticNormals.from_normals(mean, log_std.exp())


def latent_indices(subspace: Subspace, latents: int) -> list[int]:
    """Indices of a subspace's latents.

    Raises:
        ValueError: If the subspace is empty or names a latent twice or one that does not exist.
    """
    everything = range(latents)
    chosen = list(everything[subspace]) if isinstance(subspace, slice) else list(subspace)
    if not chosen or not set(chosen) <= set(everything) or len(set(chosen)) != len(chosen):
        raise ValueError(
            f"A subspace must hold one or more distinct latents of 0..{latents - 1}, "
            f"but is {subspace!r}."
        )
    return chosen
