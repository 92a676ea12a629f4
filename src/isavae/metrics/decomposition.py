"""The parts of the ELBO's KL term over the whole data set (Eq. 3)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from isavae.distributions import log_mixture
from isavae.metrics.codes import Codes
from isavae.metrics.mutual_information import (
    latent_information,
    named_stds,
    resolved_posteriors,
)
from isavae.metrics.score import Score
from isavae.metrics.subspaces import (
    Subspace,
    components,
    draw,
    latent_indices,
    log_posterior,
    standard_error,
)

ROWS_AT_ONCE, LEAST_DRAWS = 1 << 15, 1 << 16


def elbo_decomposition(
    codes: Codes,
    prior: Distribution,
    subspaces: Sequence[Subspace] | None = None,
    samples: int = 1024,
    seed: int = 0,
) -> Score:
    """KL(q(z|x) || p(z)), averaged over the images, and its three parts (Eq. 3).

    `index_code_information` = E log q(z|x) - E log q(z): the information of z about the image.
    `total_correlation` = sum_j H(z_j) - H(z). `dimension_wise_kl` =
    E [sum_j log q(z_j) - log p(z)], a sum of KL divergences if the prior factorises, and else
    possibly negative. They sum to the KL.
    With subspaces, the last two are also split by subspace: `subspace_total_correlation` =
    sum_S H(z_S) - H(z) between subspaces and `subspace_wise_kl` = E [sum_S log q(z_S) - log p(z)].

    I(x; z_j) = H(z_j) - H(z_j|x) is exact. I(x; z) and I(x; z_S) are means of log q(z|x) - log q(z)
    over `samples` draws, each under the full mixture of all images; the KL is a mean over two or
    more draws per image.

    Args:
        codes: Codes with posterior standard deviations.
        prior: p(z), any torch distribution over the latents.
        subspaces: Latents of each subspace: slices, such as `LpTree.subspaces`, or indices.
        samples: Number of draws from q(z).
        seed: Seed of the draws.

    Returns:
        A score whose `value` is the KL in nats, with its parts in `terms`.

    Raises:
        ValueError: If the codes are deterministic or the prior has another number of latents.

    Examples:
        >>> codes = Codes(torch.zeros(100_000, 2), torch.zeros(100_000, 2))
        >>> parts = elbo_decomposition(codes, torch.distributions.Normal(torch.zeros(2), 1.0)).terms
        >>> print({name: round(abs(value), 2) for name, value in parts.items()})
        {'index_code_information': 0.0, 'total_correlation': 0.0, 'dimension_wise_kl': 0.0}
    """
    chosen = None if subspaces is None else _partition(subspaces, codes.latents)
    kl, kl_error = _kl(codes, prior, seed)
    of_latents = float(latent_information(codes).sum())
    rows, z = draw(codes, samples, seed + 1)
    of_all = _excess(codes, rows, z, list(range(codes.latents)))
    information, error = float(of_all.mean()), float(standard_error(of_all))
    parts = {  # and their standard errors
        "index_code_information": (information, error),
        "total_correlation": (of_latents - information, error),
        "dimension_wise_kl": (kl - of_latents, kl_error),
    }
    if chosen is not None:
        of_each = [_excess(codes, rows, z, subspace) for subspace in chosen]
        of_subspaces = torch.stack(of_each).sum(0)
        between = of_subspaces - of_all
        parts["subspace_total_correlation"] = float(between.mean()), float(standard_error(between))
        error = math.hypot(kl_error, standard_error(of_subspaces))
        parts["subspace_wise_kl"] = kl - float(of_subspaces.mean()), error
    return Score(
        value=kl,
        terms={name: value for name, (value, _) in parts.items()},
        standard_error=kl_error,
        term_errors={name: error for name, (_, error) in parts.items()},
        parameters={
            "prior": str(prior),
            "subspaces": chosen,
            "samples": samples,
            "seed": seed,
            **named_stds(resolved_posteriors(codes)[2]),
        },
    )


def _excess(codes: Codes, rows: Tensor, z: Tensor, latents: list[int]) -> Float[Tensor, "samples"]:
    """Log q(z_S | x) - log q(z_S) at every draw; its mean is I(x; z_S)."""
    own = log_posterior(codes, rows, z, latents)
    return own - log_mixture(z[:, latents], components(codes, latents), own)


def _kl(codes: Codes, prior: Distribution, seed: int) -> tuple[float, float]:
    """KL(q(z|x) || p(z)) and its standard error, from the spread of two or more draws per image."""
    generator = torch.Generator().manual_seed(seed)
    draws = max(2, math.ceil(LEAST_DRAWS / len(codes)))
    total, within = 0.0, 0.0
    for rows in torch.arange(len(codes)).split(ROWS_AT_ONCE):
        # In float32 a draw would be a multiple of 2e-7 |mean|, which may be as large as the std.
        mean, log_std = (v[rows].double().repeat(draws, 1) for v in codes.posteriors())
        posterior = Independent(Normal(mean, log_std.exp()), 1)
        z = Codes(mean, log_std).sample(generator)
        values = (posterior.log_prob(z) - _log_prior(z, prior)).view(draws, len(rows))
        total += float(values.mean(dim=0).sum())
        within += float(values.var(dim=0).sum())
    return total / len(codes), (within / draws) ** 0.5 / len(codes)


def _log_prior(z: Float[Tensor, "rows latents"], prior: Distribution) -> Float[Tensor, "rows"]:
    size = prior.event_shape[0] if prior.event_shape else prior.batch_shape.numel()
    if size not in (1, z.shape[1]) or (size == 1 and prior.event_shape and z.shape[1] != 1):
        raise ValueError(
            f"The prior must be over the codes' {z.shape[1]} latents, but is over {size}: "
            "pass the prior that the model was trained with."
        )
    log_p = prior.log_prob(z)
    return log_p.sum(dim=1) if log_p.ndim == 2 else log_p


def _partition(subspaces: Sequence[Subspace], latents: int) -> list[list[int]]:
    chosen = [latent_indices(subspace, latents) for subspace in subspaces]
    if sorted(j for subspace in chosen for j in subspace) != list(range(latents)):
        raise ValueError(
            f"The subspaces must hold every latent of 0..{latents - 1} once, but are {chosen}."
        )
    return chosen
