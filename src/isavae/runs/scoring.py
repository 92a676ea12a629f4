"""Score a run on its data set: `scores.json`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from isavae.data import ImageDataset, load
from isavae.evaluation import StageProgress, encode_all, evaluate
from isavae.metrics import Codes, Wanted, scored_names
from isavae.runs.directory import Run
from isavae.training import resolve_device


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

    Args:
        run: The run.
        metrics: Other scores, as in `isavae.evaluate`.
        n_images: Number of images for the likelihood terms, a seeded random subset; None takes all.
        seed: Of the subset and of everything else that is random.
        others: Other runs on the same data set, for scores of agreement between runs.
        bins: In how many quantile bins continuous factors are scored.
        device: Auto, cpu, cuda, cuda:N or mps.
        data: The images; loaded by the name in the run if left out.
        on_progress: Called with (stage, steps done, steps in all).

    Returns:
        The scores, and the codes of all images.
    """
    scored_names(metrics)  # refuse unknown ones before the images are encoded
    data = load(run.config.data) if data is None else data
    if (shape := tuple(run.metadata()["shape"])) != data.shape:
        raise ValueError(
            f"the images must have the run's shape {shape}; those of {data.name} have "
            f"{data.shape}: choose others with --data"
        )
    models = [each.load_model(resolve_device(device)) for each in (run, *others)]
    encoding = partial(on_progress, "encoding")
    codes, *other_codes = [encode_all(model, data, encoding) for model in models]
    scores = evaluate(
        models[0], data, codes, metrics,
        n_images=n_images, seed=seed, others=other_codes, bins=bins,
        on_progress=on_progress,
    )  # fmt: skip
    run.write_scores(scores)
    return scores, codes
