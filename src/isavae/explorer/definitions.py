"""What the scores on the page mean, in a sentence each."""

from typing import Any

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
    lines = []
    for name, value in (scores or {}).items():
        number = value.get("value") if isinstance(value, dict) else value
        if isinstance(number, bool) or not isinstance(number, float):
            continue
        title, unit, meaning = DEFINITIONS.get(name, (name.replace("_", " "), "", ""))
        error = value.get("standard_error") if isinstance(value, dict) else None
        lines.append(
            {"title": title, "unit": unit, "value": number, "error": error, "meaning": meaning}
        )
    return lines
