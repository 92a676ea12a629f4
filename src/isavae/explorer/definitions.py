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
    """The scores in a `scores.json`, each with its title, unit, definition and standard error."""
    lines = []
    for name, score in (scores or {}).items():
        if not isinstance(score, dict) or "value" not in score:
            continue
        title, unit, meaning = DEFINITIONS.get(name) or _metric_definition(name)
        lines.append(
            {
                "title": title,
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
