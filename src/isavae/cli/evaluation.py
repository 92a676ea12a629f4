"""`isavae evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from isavae.cli.step_progress import StepProgress
from isavae.data import ImageDataset, load
from isavae.evaluation import encode_all
from isavae.evaluation import evaluate as score
from isavae.metrics import Codes, ScoreTable, exact_information, scored_names
from isavae.metrics import evaluate as score_codes
from isavae.models import VAE
from isavae.runs import Run
from isavae.training import resolve_device


def evaluate(
    run: Positional[Path],
    images: int | None = 10_000,
    metrics: tuple[str, ...] = (),
    compare: tuple[Path, ...] = (),
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Score a trained run on its data set; prints the scores and writes scores.json.

    Args:
        run: a run directory.
        images: images for log p(x|z) and KL, a seeded random subset; "None" takes all.
        metrics: more scores: names, "information", "elbo", "supervised", "unsupervised" or "all".
            Also draws information.png, the mutual information of latents and factors.
        compare: other runs on the same data set, for scores of agreement between runs.
        seed: of the subset of images and of everything random.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    opened = Run.open(run)
    data = load(opened.config.data)
    others = [Run.open(path) for path in compare]
    scored_names(metrics)  # refuse unknown ones before the images are encoded
    model, codes = encode_with_progress(opened, data, device)
    scores = score_run(opened, model, data, codes, images, seed)
    show(scores)
    if metrics:
        encoded = [encode_with_progress(other, data, device)[1] for other in others]
        table = score_table(model, codes, metrics, encoded, seed)
        opened.write_scores(scores | {"metrics": table.to_dict(), "skipped": dict(table.skipped)})
        show_table(table)
        if data.grid is not None:
            print(draw_information(opened, model, codes))


@torch.no_grad()
def score_table(
    model: VAE, codes: Codes, metrics: Sequence[str], others: Sequence[Codes] = (), seed: int = 0
) -> ScoreTable:
    """The scores of `isavae.metrics` with what the model knows: its prior and its subspaces."""
    sizes = [part.stop - part.start for part in model.prior.subspaces]
    with Console(stderr=True).status("scoring") as status:
        return score_codes(
            codes,
            metrics,
            prior=model.prior().expand(()),
            subspaces=model.prior.subspaces if max(sizes) > 1 else None,
            others=others,
            seed=seed,
            on_progress=lambda name: status.update(f"scoring {name}"),
        )


def draw_information(run: Run, model: VAE, codes: Codes) -> Path:
    """Write `information.png`: who knows what."""
    from isavae.figures import information_matrix, save

    picture = information_matrix(exact_information(codes), model.prior.subspaces)
    return save(picture, run.path / "information.png")


def encode_with_progress(run: Run, data: ImageDataset, device: str = "auto") -> tuple[VAE, Codes]:
    """A run's model, and its codes of all images."""
    model = run.load_model(resolve_device(device))
    with StepProgress("encoding") as progress:
        return model, encode_all(model, data, progress)


def score_run(
    run: Run,
    model: VAE,
    data: ImageDataset,
    codes: Codes,
    images: int | None = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a run with the codes at hand, and write its `scores.json`."""
    with StepProgress("likelihood") as progress:
        scores = score(model, data, codes, images, seed, progress)
    run.write_scores(scores)
    return scores


def show_table(table: ScoreTable) -> None:
    """Print any scores with their range, direction and time, and why others are missing."""
    console = Console()
    printed = Table(box=None, title="scores", title_justify="left")
    printed.add_column("score")
    for heading in ("value", "± error", "seconds"):
        printed.add_column(heading, justify="right")
    printed.add_column("range")
    for row in table:
        arrow = {"higher": "↑", "lower": "↓", "neither": " "}[row.metric.better]
        value, error = f"{row.score.value:.4f}", _error(row.score.standard_error)
        printed.add_row(row.name, value, error, f"{row.seconds:.1f}", f"{arrow} {row.metric.range}")
        for term, number in row.score.terms.items():
            printed.add_row(f"  {term}", f"{number:.4f}", _error(row.score.term_errors.get(term)))
    console.print(printed, markup=False)
    for reason in table.skipped.values():
        console.print(f"skipped: {reason}", markup=False, highlight=False)


def _error(error: float | None) -> str:
    return "" if error is None else f"{error:.4f}"


def show(scores: dict[str, Any]) -> None:
    """Print scores as a person would want to read them."""
    console = Console()
    for name, label in (("reconstruction", "log p(x|z)"), ("kl", "KL(q||p)")):
        part = scores[name]
        images = "all images" if part["subset_seed"] is None else f"{part['n']:,} random images"
        error = f"± {part['standard_error']:.2f} nats ({images})"
        console.print(f"{label:<12}{part['value']:>9.2f} {error}", highlight=False)
    if "mig" not in scores:
        return
    console.print(f"{'MIG':<12}{scores['mig']:>9.3f}", highlight=False)
    table = Table(title="mutual information (nats)", title_justify="left", box=None)
    table.add_column("factor")
    for heading in ("best latent", "next latent", "gap / H"):
        table.add_column(heading, justify="right")
    columns = zip(*scores["mutual_information"], strict=True)
    for factor, column in zip(scores["factors"], columns, strict=True):
        ranked = sorted(((value, latent) for latent, value in enumerate(column)), reverse=True)
        best = [f"z{latent + 1}: {value:.2f}" for value, latent in ranked[:2]]
        table.add_row(factor, *best, f"{scores['mig_gaps'][factor]:.3f}")
    console.print(table)
