"""A model on a data set: its codes, its reconstructions, and the standard table of scores."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
from isavae.metrics import Codes, mig
from isavae.models import VAE, LpNestedPrior, NoiseStream, estimate_kl, noise_generator

Progress = Callable[[int, int], None]
BATCH = 4096


@torch.no_grad()
def encode_all(model: VAE, data: ImageDataset, on_progress: Progress | None = None) -> Codes:
    """Mean and log-std of q(z|x) for every image, in the data set's order.

    Args:
        model: a VAE; left in evaluation mode.
        data: images of the shape that the model was built for.
        on_progress: called with (images done, images in all) after every batch.
    """
    model.eval()
    means, log_stds = [], []
    for indices in _blocks(len(data)):
        mean, log_std = model.moments(data.batch(indices, device=model.device))
        means.append(mean.cpu())
        log_stds.append(log_std.cpu())
        if on_progress:
            on_progress(int(indices[-1]) + 1, len(data))
    return Codes(torch.cat(means), torch.cat(log_stds), data.grid)


@final
@dataclass(frozen=True)
class Estimate:
    """A mean over images in nats, its standard error, and how many images it is over."""

    value: float
    standard_error: float
    n: int


@torch.no_grad()
def likelihood_terms(
    model: VAE,
    data: ImageDataset,
    n: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Estimate]:
    """E_q log p(x|z) and KL(q(z|x) || p(z)) by one posterior sample per image, as means.

    Args:
        model: a VAE; left in evaluation mode.
        data: where the images come from.
        n: how many of them: a seeded random subset without replacement; None takes all.
        seed: of the subset and of the posterior samples.
        on_progress: called with (images done, images in all) after every batch.

    Returns:
        "reconstruction" and "kl".
    """
    model.eval()
    subset = data if n is None or n >= len(data) else data.sample(n, seed)
    device = model.device
    reconstruction, kl = [], []
    for block, indices in enumerate(_blocks(len(subset))):
        generator = noise_generator(seed, block, device, NoiseStream.EVALUATION)
        output = model(subset.batch(indices, device=device), generator)
        reconstruction.append(output.likelihood.log_prob(output.x).cpu())
        kl.append(estimate_kl(output).cpu())
        if on_progress:
            on_progress(int(indices[-1]) + 1, len(subset))
    return {"reconstruction": _estimate(reconstruction), "kl": _estimate(kl)}


def evaluate(
    model: VAE,
    data: ImageDataset,
    codes: Codes,
    n: int | None = 10_000,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """The standard scores of a model as plain numbers, with what they were computed on.

    Args:
        model: a VAE.
        data: the data set it is scored on.
        codes: `encode_all(model, data)`.
        n: images for the likelihood terms (a seeded random subset); None takes all.
        seed: of the subset and of the posterior samples.
        on_progress: as in `likelihood_terms`.
    """
    scores: dict[str, Any] = {"data": data.name, "images": len(data)}
    for name, estimate in likelihood_terms(model, data, n, seed, on_progress).items():
        scores[name] = asdict(estimate) | {"subset_seed": seed if estimate.n < len(data) else None}
    if data.grid is not None:
        gap = mig(codes)
        assert gap.information is not None  # mig always has one
        scores["mig"] = gap.value
        scores["mig_gaps"] = dict(gap.per_factor)
        scores["factors"] = list(gap.information.factors)
        scores["mutual_information"] = gap.information.mutual.tolist()
    if isinstance(model.prior, LpNestedPrior):
        scores["exponents"] = model.prior.exponents.tolist()
    return scores


@torch.no_grad()
def decode_traversals(
    model: VAE,
    start: Float[Tensor, "latents"],
    latents: Sequence[int],
    values: Float[Tensor, "steps"],
) -> Float[Tensor, "rows steps channels height width"]:
    """Mean images along straight lines in latent space: one latent moves, the others stay.

    Args:
        model: a VAE.
        start: the code that every line goes through.
        latents: which latents move, one row each.
        values: what a moving latent is set to, one column each.
    """
    model.eval()
    codes = start.expand(len(latents), len(values), -1).clone()
    for row, latent in enumerate(latents):
        codes[row, :, latent] = values
    images = model.decode(codes.flatten(0, 1).to(model.device)).mean
    return images.unflatten(0, codes.shape[:2]).cpu()


@torch.no_grad()
def reconstruct(
    model: VAE, images: Float[Tensor, "n channels height width"]
) -> Float[Tensor, "n channels height width"]:
    """Mean of p(x|z) at the posterior mean of each image."""
    model.eval()
    mean, _ = model.moments(images.to(model.device))
    return model.decode(mean).mean.cpu()


def _estimate(blocks: list[Tensor]) -> Estimate:
    values = torch.cat(blocks).double()
    return Estimate(values.mean().item(), (values.std() / len(values) ** 0.5).item(), len(values))


def _blocks(n: int) -> Iterator[range]:
    return (range(start, min(start + BATCH, n)) for start in range(0, n, BATCH))
