"""A model on a data set: its codes, its reconstructions, and the standard table of scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
from isavae.metrics import Codes, mig
from isavae.models import VAE, LpNestedPrior, estimate_kl, noise_generator

Progress = Callable[[int, int], None]
BATCH = 4096


def encode_all(model: VAE, data: ImageDataset, on_progress: Progress | None = None) -> Codes:
    """Mean and log-std of q(z|x) for every image, in the data set's order.

    Args:
        model: A VAE; left in evaluation mode.
        data: Images of the shape that the model was built for.
        on_progress: Called with (images done, images in all) after every batch.
    """
    return Codes(*encode_blocks(model, _image_blocks(model, data, on_progress)), data.grid)


@torch.no_grad()
def encode_blocks(
    model: VAE, blocks: Iterable[Float[Tensor, "batch channels height width"]]
) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"]]:
    """Mean and log-std of q(z|x) of images that come in blocks, on the CPU."""
    model.eval()
    means, log_stds = [], []
    for block in blocks:
        mean, log_std = model.moments(block.to(model.device))
        means.append(mean.cpu())
        log_stds.append(log_std.cpu())
    return torch.cat(means), torch.cat(log_stds)


@torch.no_grad()
def decode_means(
    model: VAE, codes: Float[Tensor, "n latents"]
) -> Float[Tensor, "n channels height width"]:
    """Mean of p(x|z) at codes, on the CPU."""
    model.eval()
    blocks = [model.decode(block.to(model.device)).mean.cpu() for block in codes.split(BATCH)]
    return torch.cat(blocks)


@torch.no_grad()
def sample_prior(model: VAE, n: int, seed: int = 0) -> Float[Tensor, "n latents"]:
    """Draws from p(z), a function of the seed only: torch's global random state is kept."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.prior().sample(torch.Size([n]))


@final
@dataclass(frozen=True)
class Estimate:
    """A mean over images in nats, its standard error, and how many images it is over."""

    value: float
    standard_error: float
    n: int


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
    subset = data if n is None or n >= len(data) else data.sample(n, seed)
    reconstruction, kl = elbo_blocks(model, _image_blocks(model, subset, on_progress), seed)
    return {"reconstruction": _estimate(reconstruction), "kl": _estimate(kl)}


@torch.no_grad()
def elbo_blocks(
    model: VAE, blocks: Iterable[Float[Tensor, "batch channels height width"]], seed: int = 0
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Log p(x|z) and log q(z|x) - log p(z) of each image, by one posterior sample, on the CPU."""
    model.eval()
    reconstruction, kl = [], []
    for number, block in enumerate(blocks):
        generator = noise_generator(seed, number, model.device, stream=1)
        output = model(block.to(model.device), generator)
        reconstruction.append(output.likelihood.log_prob(output.x).cpu())
        kl.append(estimate_kl(output).cpu())
    return torch.cat(reconstruction), torch.cat(kl)


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
    codes = start.expand(len(latents), len(values), -1).clone()
    for row, latent in enumerate(latents):
        codes[row, :, latent] = values
    return decode_means(model, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])


def reconstruct(
    model: VAE, images: Float[Tensor, "n channels height width"]
) -> Float[Tensor, "n channels height width"]:
    """Mean of p(x|z) at the posterior mean of each image."""
    mean, _ = encode_blocks(model, images.split(BATCH))
    return decode_means(model, mean)


def _estimate(values: Tensor) -> Estimate:
    values = values.double()
    return Estimate(values.mean().item(), (values.std() / len(values) ** 0.5).item(), len(values))


def _image_blocks(
    model: VAE, data: ImageDataset, on_progress: Progress | None
) -> Iterator[Float[Tensor, "batch channels height width"]]:
    """All images in blocks on the model's device; progress is reported after each block's use."""
    for start in range(0, len(data), BATCH):
        stop = min(start + BATCH, len(data))
        yield data.batch(range(start, stop), device=model.device)
        if on_progress:
            on_progress(stop, len(data))
