"""Score a run: `scores.json` and, where factors are known, `information.png`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from isavae.data import load
from isavae.evaluation import StageProgress, encode_all, evaluate
from isavae.figures import information_matrix, save
from isavae.metrics import exact_information, scored_names
from isavae.runs import Run
from isavae.training import resolve_device


def evaluate_run(
    run: Run,
    metrics: Sequence[str] = (),
    *,
    n_images: int | None = 10_000,
    seed: int = 0,
    others: Sequence[Run] = (),
    device: str = "auto",
    on_progress: StageProgress = lambda stage, done, total: None,
) -> tuple[dict[str, Any], Path | None]:
    """Score a run on its data set, and write the scores.

    Args:
        run: The run.
        metrics: Other scores, as in `isavae.evaluate`. With them and with known factors, the mutual
            information of latents and factors is drawn, too.
        n_images: Number of images for the likelihood terms, a seeded random subset; None takes all.
        seed: Of the subset and of everything else that is random.
        others: Other runs on the same data set, for scores of agreement between runs.
        device: Auto, cpu, cuda, cuda:N or mps.
        on_progress: Called with (stage, steps done, steps in all).

    Returns:
        The scores, and where the mutual information was drawn.
    """
    scored_names(metrics)  # refuse unknown ones before the images are encoded
    data = load(run.config.data)
    models = [each.load_model(resolve_device(device)) for each in (run, *others)]
    encoding = partial(on_progress, "encoding")
    codes, *other_codes = [encode_all(model, data, encoding) for model in models]
    scores = evaluate(
        models[0], data, codes, metrics,
        n_images=n_images, seed=seed, others=other_codes, on_progress=on_progress,
    )  # fmt: skip
    run.write_scores(scores)
    if not metrics or not codes.has_factors():
        return scores, None
    figure = information_matrix(exact_information(codes), models[0].prior.subspaces)
    return scores, save(figure, run.path / "information.png")
