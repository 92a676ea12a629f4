"""A model on a data set: its codes, reconstructions, traversals and scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
from isavae.metrics import Codes, ScoreTable, Wanted, listed_scores, scored_names
from isavae.metrics import evaluate as metrics_of
from isavae.models import VAE, LpNestedPrior, NoiseStream, estimate_kl, noise_generator

Progress = Callable[[int, int], None]
StageProgress = Callable[[str, int, int], None]
# Images at a time, for which the noise of an estimate is drawn together.
BATCH = 4096
# Images that a CPU encodes at a time: 6 % faster than 4096 with the paper's network.
_BATCH_ON_CPU = 1024


def encode_all(model: VAE, data: ImageDataset, on_progress: Progress | None = None) -> Codes:
    """Mean and log-std of q(z|x) for every image, in the data set's order.

    Args:
        model: A VAE; left in evaluation mode.
        data: Images of the shape that the model was built for.
        on_progress: Called with (images done, images in all) after every batch.
    """
    size = _BATCH_ON_CPU if model.device.type == "cpu" else BATCH
    return Codes(*encode_blocks(model, _image_blocks(model, data, size, on_progress)), data.grid)


@torch.no_grad()
def encode_blocks(
    model: VAE, blocks: Iterable[Float[Tensor, "batch channels height width"]]
) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"]]:
    """Mean and log-std of q(z|x) of images that come in blocks, on the CPU.

    Args:
        model: The VAE.
        blocks: Images in [0, 1]; blocks may differ in size.
    """
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
    """A mean over images in nats, its standard error, and the number of images.

    One image has no standard error.
    """

    value: float
    standard_error: float | None
    n_images: int


def likelihood_terms(
    model: VAE,
    data: ImageDataset,
    n_images: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Estimate]:
    """E_q log p(x|z) and KL(q(z|x) || p(z)) by one posterior sample per image, as means.

    Args:
        model: A VAE; left in evaluation mode.
        data: The data set.
        n_images: Number of images, a seeded random subset without replacement; None takes all.
        seed: Seed of the subset and of the posterior samples.
        on_progress: Called with (images done, images in all) after every batch.

    Returns:
        "reconstruction" and "kl".
    """
    everything = n_images is None or n_images >= len(data)
    subset = data if everything else data.sample(n_images, seed)
    reconstruction, kl = elbo_blocks(model, _image_blocks(model, subset, BATCH, on_progress), seed)
    return {"reconstruction": _estimate(reconstruction), "kl": _estimate(kl)}


@torch.no_grad()
def elbo_blocks(
    model: VAE, blocks: Iterable[Float[Tensor, "batch channels height width"]], seed: int = 0
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Log p(x|z) and log q(z|x) - log p(z) of each image, by one posterior sample, on the CPU."""
    model.eval()
    reconstruction, kl = [], []
    for number, block in enumerate(blocks):
        generator = noise_generator(seed, number, model.device, NoiseStream.EVALUATION)
        output = model(block.to(model.device), generator)
        reconstruction.append(output.likelihood.log_prob(output.x).cpu())
        kl.append(estimate_kl(output).cpu())
    return torch.cat(reconstruction), torch.cat(kl)


def evaluate(
    model: VAE,
    data: ImageDataset,
    codes: Codes | None = None,
    metrics: Wanted | Sequence[Wanted] = (),
    *,
    n_images: int | None = 10_000,
    seed: int = 0,
    others: Sequence[Codes] = (),
    bins: int = 20,
    on_progress: StageProgress | None = None,
) -> dict[str, Any]:
    """The scores of a model as plain values: what `scores.json` holds.

    Args:
        model: A VAE.
        data: The data set it is scored on.
        codes: `encode_all(model, data)`, if at hand; computed otherwise.
        metrics: Scores besides "reconstruction", "kl" and, where factors vary, "mig": names,
            families, "all" or functions of codes, as in `isavae.metrics.evaluate`.
        n_images: Number of images for the likelihood terms, a seeded random subset; None takes all.
        seed: Seed of the subset, and of all else that is random.
        others: Codes of the same images by other models, for scores that compare models.
        bins: In how many quantile bins continuous factors are scored, as in `Codes`.
        on_progress: Called with (stage, steps done, steps in all).

    Returns:
        Every score under its name, as a dict with "value" and, where known, "standard_error",
        "per_factor", "terms" and "parameters"; beside them "data" and "n_images"; "factors" and
        "mutual_information" (latents x factors, nats) where factors vary; "binned", the number of
        bins of each continuous factor; "exponents" of an Lp-nested prior; "skipped", the reasons
        for scores that the codes do not allow.

    Raises:
        TypeError: If the model is no `VAE`, or the data are no `ImageDataset`.
    """
    _check_types(model, data)
    report = on_progress or (lambda stage, done, total: None)
    if codes is None:
        codes = encode_all(model, data, partial(report, "encoding"))
    codes = Codes(codes.mean, codes.log_std, codes.grid, bins=bins)
    terms = likelihood_terms(model, data, n_images, seed, partial(report, "likelihood"))
    scores: dict[str, Any] = {"data": data.name, "n_images": len(data)}
    for name, estimate in terms.items():
        subset_seed = seed if estimate.n_images < len(data) else None
        scores[name] = asdict(estimate) | {"subset_seed": subset_seed}
    table = _score_codes(model, codes, metrics, seed, others, report)
    scores |= table.to_dict()
    if "mig" in scores and (information := table["mig"].information) is not None:
        scores["factors"] = list(information.factors)
        scores["mutual_information"] = information.mutual.tolist()
    if binned := codes.binned():
        scores["binned"] = binned
    if isinstance(model.prior, LpNestedPrior):
        scores["exponents"] = model.prior.exponents.tolist()
    return scores | ({"skipped": dict(table.skipped)} if table.skipped else {})


def _check_types(model: object, data: object) -> None:
    """Name what to pass where a trained model, codes or an array is given."""
    if not isinstance(model, VAE):
        raise TypeError(
            f"a model must be an isavae.VAE; got {type(model).__name__}: pass the .vae of a "
            "TrainedModel; isavae.metrics.evaluate scores codes"
        )
    if not isinstance(data, ImageDataset):
        raise TypeError(
            f"data must be an ImageDataset; got {type(data).__name__}: use "
            "ImageDataset(images, factors)"
        )


@torch.no_grad()
def _score_codes(
    model: VAE,
    codes: Codes,
    metrics: Wanted | Sequence[Wanted],
    seed: int,
    others: Sequence[Codes],
    report: StageProgress,
) -> ScoreTable:
    """Scores of `isavae.metrics`, with the model's prior and subspaces."""
    wanted = listed_scores(metrics) + (["mig"] if codes.has_factors() else [])
    names = scored_names(wanted)
    subspaces = model.prior.subspaces
    return metrics_of(
        codes,
        wanted,
        prior=model.prior().expand(()),
        subspaces=subspaces if any(s.stop - s.start > 1 for s in subspaces) else None,
        others=others,
        seed=seed,
        on_progress=lambda name: report(f"scoring {name}", names.index(name), len(names)),
    )


def decode_traversals(
    model: VAE,
    start: Float[Tensor, "latents"],
    latents: Sequence[int],
    values: Float[Tensor, "steps"],
) -> Float[Tensor, "rows steps channels height width"]:
    """Mean images along straight lines in latent space: one latent moves, the others stay.

    Args:
        model: A VAE.
        start: The code that every line passes through.
        latents: Indices of the latents that move, one row each.
        values: Values that a moving latent takes, one column each.
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
    values, n = values.double(), len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    return Estimate(values.mean().item(), error, n)


def _image_blocks(
    model: VAE, data: ImageDataset, size: int, on_progress: Progress | None
) -> Iterator[Float[Tensor, "batch channels height width"]]:
    """All images in blocks on the model's device; progress is reported after each block's use."""
    for start in range(0, len(data), size):
        stop = min(start + size, len(data))
        yield data.batch(range(start, stop), device=model.device)
        if on_progress:
            on_progress(stop, len(data))
