"""`isavae evaluate`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from isavae.cli.progress import StepProgress
from isavae.data import ImageDataset, load
from isavae.evaluation import encode_all
from isavae.evaluation import evaluate as score
from isavae.metrics import Codes
from isavae.models import VAE
from isavae.runs import Run
from isavae.training import resolve_device


def evaluate(
    run: Positional[Path], images: int | None = 10_000, seed: int = 0, device: str = "auto"
) -> None:
    """Score a trained run on its data set; prints the scores and writes scores.json.

    Args:
        run: a run directory.
        images: images for log p(x|z) and KL, a seeded random subset; "None" takes all.
        seed: of that subset and of the posterior samples.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    opened = Run.open(run)
    data = load(opened.config.data)
    model, codes = encode_with_progress(opened, data, device)
    show(score_run(opened, model, data, codes, images, seed))


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
