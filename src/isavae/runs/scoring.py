"""Score a run on its data set: `scores.json`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from isavae.data import ImageDataset
from isavae.evaluation import StageProgress, encode_all, evaluate
from isavae.metrics import Codes, Wanted, scored_names
from isavae.models import VAE
from isavae.runs.directory import Run
from isavae.runs.held_out import scored_parts
from isavae.runs.moved_images import run_images
from isavae.training import resolve_device

# Scores that describe the model or the data set, the same for both parts of the images.
SHARED = {"data", "exponents"}


def evaluate_run(
    run: Run,
    metrics: Sequence[Wanted] = (),
    *,
    n_images: int | None = 10_000,
    seed: int = 0,
    others: Sequence[Run] = (),
    bins: int = 20,
    device: str = "auto",
    data: ImageDataset | None = None,
    on_progress: StageProgress = lambda stage, done, total: None,
) -> tuple[dict[str, Any], Codes]:
    """Score a run on its data set, and write the scores.

    Where the run holds out images, they are scored by themselves, under the names of the scores
    after `held_out_`; the names alone are then the scores of the images that it was trained on.

    Args:
        run: The run.
        metrics: Other scores, as in `isavae.evaluate`.
        n_images: Number of images for the likelihood terms, a seeded random subset; None takes all.
        seed: Seed of the subset, and of all else that is random.
        others: Other runs on the same data set, for scores of agreement between runs.
        bins: In how many quantile bins continuous factors are scored.
        device: The device: auto, cpu, cuda, cuda:N or mps.
        data: The images; loaded by the name in the run if left out.
        on_progress: Called with (stage, steps done, steps in all).

    Returns:
        The scores, and the codes of all images.
    """
    scored_names(metrics)  # refuse unknown ones before the images are encoded
    data = run_images(run, data)
    models = [each.load_model(resolve_device(device)) for each in (run, *others)]
    encoding = partial(on_progress, "encoding")
    codes, *other_codes = [encode_all(model, data, encoding) for model in models]
    codes = Codes(codes.mean, codes.log_std, codes.grid, bins=bins)
    scores = score_codes(
        run, models[0], data, codes, metrics,
        n_images=n_images, seed=seed, others=other_codes, on_progress=on_progress,
    )  # fmt: skip
    run.write_scores(scores)
    return scores, codes


def score_codes(
    run: Run,
    model: VAE,
    data: ImageDataset,
    codes: Codes,
    metrics: Sequence[Wanted] = (),
    *,
    n_images: int | None = 10_000,
    seed: int = 0,
    others: Sequence[Codes] = (),
    on_progress: StageProgress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """The scores of a run, those of images that it holds out beside them.

    Args:
        run: The run.
        model: Its model.
        data: All images.
        codes: Their codes.
        metrics: Other scores, as in `isavae.evaluate`.
        n_images: As for `evaluate_run`, of each part.
        seed: As for `evaluate_run`.
        others: Codes of the same images by other runs.
        on_progress: Called with (stage, steps done, steps in all).
    """
    score = partial(evaluate, model, n_images=n_images, seed=seed, on_progress=on_progress)
    parts = scored_parts(run, data)
    if len(parts) == 1:
        return score(data, codes, metrics, others=others, bins=codes.bins)
    scores: dict[str, Any] = {}
    for prefix, positions in parts.items():
        rows = torch.from_numpy(positions)
        found = score(
            data.take(positions), codes.with_bins_as_classes().take(rows), metrics,
            others=[other.take(rows) for other in others], bins=0,
        )  # fmt: skip
        scores |= {name if name in SHARED else prefix + name: v for name, v in found.items()}
    return scores | ({"binned": binned} if (binned := codes.binned()) else {})
