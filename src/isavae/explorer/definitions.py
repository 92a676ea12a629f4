"""Definitions of the scores on the page, one sentence each."""

from typing import Any

from isavae.metrics import METRICS

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
    """The numbers of a `scores.json`, each with its title, unit, definition and standard error."""
    scores = scores or {}
    lines = []
    for name, value in scores.items():
        number = value.get("value") if isinstance(value, dict) else value
        if isinstance(number, bool) or not isinstance(number, float):
            continue
        title, unit, meaning = DEFINITIONS.get(name, (_words(name), "", ""))
        error = value.get("standard_error") if isinstance(value, dict) else None
        lines.append(_line(title, unit, number, error, meaning))
    for name, found in scores.get("metrics", {}).items():
        if name not in scores and name in METRICS:  # the standard scores are above already
            metric = METRICS[name]
            unit = "nats" if "nats" in metric.range else ""
            better = "" if metric.better == "neither" else f", {metric.better} is better"
            meaning = f"{metric.range}{better}. {metric.source}; {metric.caveat}."
            lines.append(
                _line(_words(name), unit, found["value"], found.get("standard_error"), meaning)
            )
    return lines


def _line(title: str, unit: str, value: float, error: float | None, meaning: str) -> dict[str, Any]:
    return {"title": title, "unit": unit, "value": value, "error": error, "meaning": meaning}


def _words(name: str) -> str:
    return name.replace("_", " ")
