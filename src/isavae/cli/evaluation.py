"""`isavae evaluate`."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from isavae.cli.flag_kinds import Optionally, Several
from isavae.cli.step_progress import StageProgress
from isavae.cli.terminal import Side, say, table
from isavae.cli.terminal import show as show_table
from isavae.data import load
from isavae.errors import counted, missing_package
from isavae.runs import HELD_OUT, Run, evaluate_run, names_of

if TYPE_CHECKING:
    from rich.table import Table

LIKELIHOOD_TERMS = {"reconstruction": "log p(x|z)", "kl": "KL(q||p)"}


def evaluate(
    run: Positional[Path],
    images: int | Literal["all"] = 10_000,
    metrics: Several[str] = (),
    compare: Several[Path] = (),
    seed: int = 0,
    bins: int = 20,
    device: str = "auto",
    data: Optionally[str] = None,
) -> None:
    """Score a trained run on its data set; print the scores and write scores.json.

    Args:
        run: A run directory.
        images: Number of images for log p(x|z) and KL, a seeded random subset, or all.
        metrics: More scores: names, "information", "elbo", "supervised", "unsupervised" or "all".
            Also draws information.png, the mutual information of latents and factors, where
            isavae[report] is installed.
        compare: Other runs on the same data set, for scores of agreement between runs.
        seed: Seed of the subset of images, and of all else that is random.
        bins: Number of quantile bins for factors with about one value per image; 0 takes every
            value as a class.
        device: The device: auto, cpu, cuda, cuda:N or mps.
        data: A data set instead of the one that the run was trained on, such as moved images.
    """
    opened = Run.open(run)
    facts = opened.metadata()
    if facts["step"] < facts["steps"]:
        say(
            f"unfinished: step {facts['step']:,} of {facts['steps']:,} is scored; continue with: "
            f"isavae train --resume --out {run}"
        )
    with StageProgress() as progress:
        scores, codes = evaluate_run(
            opened,
            metrics,
            n_images=None if images == "all" else images,
            seed=seed,
            bins=bins,
            others=[Run.open(path) for path in compare],
            device=device,
            data=None if data is None else load(data),
            on_progress=progress,
        )
    show(scores, names_of(run))
    if metrics and codes.has_factors():
        missing = [package for package in ("matplotlib", "polars") if not find_spec(package)]
        if missing:
            say(f"information.png is not drawn: {missing_package(missing[0])}")
            return
        from isavae.report import save_information

        say(save_information(opened, codes))


def show(scores: Mapping[str, Any], latents: Sequence[str] = ()) -> None:
    """Print the contents of a `scores.json`, one part of the images after the other.

    Args:
        scores: The contents.
        latents: The names of the latents; by number if left out.
    """
    held_out = {
        name.removeprefix(HELD_OUT): value
        for name, value in scores.items()
        if name.startswith(HELD_OUT)
    }
    if not held_out:
        _show_part(scores, latents)
        return
    say(f"{counted(scores['n_images'], 'image')} of training")
    _show_part({name: v for name, v in scores.items() if not name.startswith(HELD_OUT)}, latents)
    say(f"{counted(held_out['n_images'], 'image')} held out")
    _show_part(held_out, latents)


def _show_part(scores: Mapping[str, Any], latents: Sequence[str]) -> None:
    for name, label in LIKELIHOOD_TERMS.items():
        term = scores[name]
        all_images = term["subset_seed"] is None
        images = "all images" if all_images else f"{term['n_images']:,} random images"
        error = term["standard_error"]
        shown = "nats" if error is None else f"± {error:.2f} nats"
        say(f"{label:<12}{term['value']:>9.2f} {shown} ({images})")
    if "mig" in scores:
        say(f"{'MIG':<12}{scores['mig']['value']:>9.3f}")
        show_table(_information_table(scores, latents))
    if any(name not in ("mig", *LIKELIHOOD_TERMS) for name in _score_names(scores)):
        show_table(_score_table(scores))
    for factor, bins in scores.get("binned", {}).items():
        say(f"{factor} is continuous and scored in {bins} quantile bins")
    for name in _score_names(scores):
        if note := scores[name].get("parameters", {}).get("note"):
            say(f"{name}: {note}")
    for reason in scores.get("skipped", {}).values():
        say(f"skipped: {reason}")


def _information_table(scores: Mapping[str, Any], latents: Sequence[str]) -> "Table":
    """For every factor the two latents that carry most information about it, and its gap."""
    rows = []
    columns = zip(*scores["mutual_information"], strict=True)
    for factor, column in zip(scores["factors"], columns, strict=True):
        ranked = sorted(((value, latent) for latent, value in enumerate(column)), reverse=True)
        named = [(latents[z] if latents else f"z{z + 1}", value) for value, z in ranked[:2]]
        best = [f"{name}: {value:.2f}" for name, value in named]
        rows.append([factor, *best, f"{scores['mig']['per_factor'][factor]:.3f}"])
    heads: dict[str, Side] = {
        "factor": "left",
        "best latent": "right",
        "next latent": "right",
        "gap / H": "right",
    }
    return table(heads, rows, "mutual information (nats)")


def _score_table(scores: Mapping[str, Any]) -> "Table":
    """Every score of `isavae.metrics` with its terms, range and direction."""
    rows = []
    for name in _score_names(scores):
        score = scores[name]
        arrow = {"higher": "↑", "lower": "↓", "neither": " "}[score["better"]]
        error = _error(score.get("standard_error"))
        rows.append([name, f"{score['value']:.4f}", error, f"{arrow} {score['range']}"])
        for term, number in score.get("terms", {}).items():
            error = _error(score.get("term_errors", {}).get(term))
            rows.append([f"  {term}", f"{number:.4f}", error])
    heads: dict[str, Side] = {
        "score": "left",
        "value": "right",
        "± error": "right",
        "range": "left",
    }
    return table(heads, rows, "scores")


def _score_names(scores: Mapping[str, Any]) -> list[str]:
    return [name for name, score in scores.items() if isinstance(score, dict) and "range" in score]


def _error(error: float | None) -> str:
    return "" if error is None else f"{error:.4f}"
