"""A model, its scores, its images and its latents as the JSON that the page reads."""

import base64
import math
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution

from isavae.data import FactorGrid, ImageDataset
from isavae.data.tiles import side_by_side, to_uint8
from isavae.distributions import LpNested
from isavae.explorer.latent_summary import LatentSummary
from isavae.explorer.library import ServedModel
from isavae.metrics import METRICS
from isavae.models import Prior
from isavae.runs import HELD_OUT

# name in scores.json -> (title, unit, definition)
DEFINITIONS = {
    "reconstruction": (
        "Reconstruction",
        "nats",
        "E log p(x|z), z one sample of the posterior of each image; higher is better.",
    ),
    "kl": ("KL", "nats", "KL(q(z|x) ‖ p(z)), estimated by the same samples."),
    "mig": (
        "MIG",
        "",
        "Mutual information gap: over the factors, the mean of the difference between the two "
        "largest I(z_j; v_k), divided by H(v_k). Exact entropies; 0 to 1.",
    ),
}


def score_lines(scores: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The scores in a `scores.json`, each with its title, unit, definition and standard error."""
    lines = []
    for name, score in (scores or {}).items():
        if not isinstance(score, dict) or "value" not in score:
            continue
        plain = name.removeprefix(HELD_OUT)
        title, unit, meaning = DEFINITIONS.get(plain) or _metric_definition(plain)
        lines.append(
            {
                "title": title if plain == name else f"{title}, images held out",
                "unit": unit,
                "value": score["value"],
                "error": score.get("standard_error"),
                "meaning": meaning,
            }
        )
    return lines


def _metric_definition(name: str) -> tuple[str, str, str]:
    title = name.replace("_", " ")
    if name not in METRICS:
        return title, "", ""
    metric = METRICS[name]
    unit = "nats" if "nats" in metric.range else ""
    better = "" if metric.better == "neither" else f", {metric.better} is better"
    return title, unit, f"{metric.range}{better}. {metric.source}; {metric.caveat}."


def describe_model(shown: ServedModel) -> dict[str, Any]:
    """Everything about a model that does not depend on images."""
    trained = shown.trained
    config, prior = trained.config, trained.vae.prior
    std = float(_distribution(prior).variance.sqrt().max())
    return {
        "id": shown.id,
        "state": shown.state,
        "version": shown.version,
        "step": trained.facts.get("step"),
        "steps": trained.facts.get("steps"),
        "shape": tuple(side_by_side(trained.preprocessing.shown(torch.empty(trained.shape))).shape),
        "latents": prior.n_latents,
        "prior": config.prior,
        "objective": config.objective.name,
        "weights": config.objective.weights(),
        "data": config.without_folders().data,
        "seed": config.seed,
        "groups": describe_groups(prior),
        "exponents": describe_exponents(prior),
        "range": _round_up(3 * std),
        "scores": score_lines(trained.scores),
        "axes": trained.facts.get("axes", []),
    }


def describe_groups(prior: Prior) -> list[dict[str, Any]]:
    """The subspaces with their exponents; neighbours of width one share a group.

    >>> from isavae.models import build_prior
    >>> groups = describe_groups(build_prior("2[3*2, z]"))
    >>> [(group["title"], group["latents"], group["exponent"]) for group in groups]
    [('Subspace 1', [0, 1], 3.0), ('Single latent', [2], None)]
    """
    exponents = _subspace_exponents(prior)
    groups: list[dict[str, Any]] = []
    singles: list[int] = []
    for subspace, exponent in zip(prior.subspaces, exponents, strict=True):
        latents = list(range(subspace.start, subspace.stop))
        if len(latents) == 1:
            singles += latents
        else:
            title = f"Subspace {len(groups) + 1}"
            groups.append({"title": title, "latents": latents, "exponent": exponent})
    if singles:
        title = "Single latent" if len(singles) == 1 else "Independent latents"
        groups.append({"title": title, "latents": singles, "exponent": None})
    return groups


def describe_exponents(prior: Prior) -> list[dict[str, Any]]:
    """Every exponent of the prior's tree with the node it belongs to; none for a normal prior."""
    distribution = _distribution(prior)
    if not isinstance(distribution, LpNested):
        return []
    values = distribution.exponents.tolist()
    names = ["p0 (root)", *(f"p{node}" for node in range(1, len(values)))]
    return [
        {"name": name, "value": value, "start": start}
        for name, value, start in zip(names, values, distribution.tree.exponents, strict=True)
    ]


def _subspace_exponents(prior: Prior) -> list[float | None]:
    """The exponent of each child of the root; None for a leaf and for priors without a tree."""
    distribution = _distribution(prior)
    if not isinstance(distribution, LpNested):
        return [None] * len(prior.subspaces)
    tree, values = distribution.tree, distribution.exponents.tolist()
    inner_before = np.cumsum([0] + [arity > 0 for arity in tree.arities]).tolist()
    return [values[inner_before[c]] if tree.arities[c] else None for c in tree.children[0]]


def describe_images(images: ImageDataset) -> dict[str, Any]:
    """How many images there are and what is known about them."""
    factors = [] if images.grid is None else _describe_factors(images.grid)
    return {"name": images.name, "count": len(images), "factors": factors}


def _describe_factors(grid: FactorGrid) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "size": size,
            "classes": grid.class_names(name),
            "ordered": name in (grid.ordered or ()),
        }
        for name, size in zip(grid.names, grid.sizes, strict=True)
    ]


def describe_summary(summary: LatentSummary) -> dict[str, Any]:
    """Activity of the latents and mutual information."""
    codes, about = summary.codes, summary.about_factors
    return {
        "sample": len(codes),
        "total": summary.total,
        "information": summary.about_images.tolist(),
        "active": summary.active,
        "range": _round_up(float(codes.mean.abs().max())),
        "factors": [] if about is None else list(about.factors),
        "mutual": [] if about is None else about.mutual.tolist(),
        "normalised": [] if about is None else about.normalized.tolist(),
    }


def describe_scatter(summary: LatentSummary, factor: str | None) -> dict[str, Any]:
    """Some of the codes, with their classes of a factor and the number of images of each class."""
    rows, grid = summary.scatter(factor), summary.codes.grid
    column = None if grid is None or factor is None else grid.column(factor)
    return {
        "points": pack(summary.codes.mean[rows].float().numpy()),
        "classes": [] if column is None else column[rows].tolist(),
        "counts": [] if column is None else np.bincount(column[column >= 0]).tolist(),
    }


def describe_tiles(shown: ServedModel, images: ImageDataset, rows: np.ndarray) -> dict[str, Any]:
    """Some of the images, with their numbers."""
    pixels = pack(to_uint8(shown.trained.preprocessing.shown(images.batch(rows))))
    return {"indices": rows.tolist(), "pixels": pixels}


def describe_posterior(shown: ServedModel, image: torch.Tensor, **known: Any) -> dict[str, Any]:
    with torch.no_grad():
        mean, log_std = shown.trained.vae.moments(image)
    return {
        **known,
        "mean": mean[0].tolist(),
        "std": log_std[0].exp().tolist(),
        "pixels": pack(to_uint8(shown.trained.preprocessing.shown(image))),
    }


def pack(array: np.ndarray) -> str:
    """The bytes of an array (little-endian, row-major) in base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


@torch.no_grad()
def _distribution(prior: Prior) -> Distribution:
    return prior()


def _round_up(value: float) -> float:
    """The next half."""
    return math.ceil(value * 2) / 2
