"""The model card: what a stranger needs to know of a model, from what the model knows of itself."""

from typing import Any

from isavae.runs.trained_model import TrainedModel

_CARD = """\
---
library_name: isavae
tags:
- isavae
- variational-autoencoder
- independent-subspace-analysis
- disentanglement
---

# {title}

A variational autoencoder with the prior `{prior}` over {latent} latents, for images of
{channels} channel{plural}, {height} × {width} pixels with values in [0, 1].

```python
from isavae.runs import from_pretrained

model = from_pretrained("{repo}")
mean, log_std = model.encode(images)  # (n, {channels}, {height}, {width}) -> (n, {latent}) twice
images = model.decode(mean)
```

## Latents

| subspace | latents | exponent |
|---|---|---|
{subspaces}

## Training

| setting | value |
|---|---|
{settings}
{scores}
## Limits

Axes of latent space that look meaningful need not be: other seeds may give other axes at the same
likelihood. Nothing is known of images unlike those that the model was trained on.
"""


def model_card(model: TrainedModel, repo: str) -> str:
    """The card in Markdown, with the Hub's YAML header.

    Args:
        model: what is described.
        repo: what `from_pretrained` would be given.
    """
    channels, height, width = model.shape
    return _CARD.format(
        title=repo.rstrip("/").rsplit("/", 1)[-1],
        repo=repo,
        prior=model.config.prior,
        latent=model.vae.prior.n_latents,
        channels=channels,
        plural="" if channels == 1 else "s",
        height=height,
        width=width,
        subspaces=_rows(_subspaces(model)),
        settings=_rows(_settings(model)),
        scores=_scores(model.facts.get("scores", {})),
    )


def _subspaces(model: TrainedModel) -> list[tuple[str, ...]]:
    """One row per subspace: its number, its latents counted from 1, its exponent if it has one."""
    prior = model.vae.prior
    exponents = getattr(prior, "exponents", None)
    slices = prior.subspaces
    # The tree's root comes first; a deeper tree has more nodes than subspaces, and no one exponent.
    known = exponents is not None and len(exponents) == len(slices) + 1
    shown = [f"{p:.3g}" for p in exponents[1:].tolist()] if known else ["-"] * len(slices)
    return [
        (str(k), f"z{s.start + 1} to z{s.stop}", p)
        for k, (s, p) in enumerate(zip(slices, shown, strict=True), 1)
    ]


def _settings(model: TrainedModel) -> list[tuple[str, ...]]:
    given = model.config.settings() | ({"step": step} if (step := model.facts.get("step")) else {})
    return [(name, f"`{value}`") for name, value in given.items() if value is not None]


def _scores(scores: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]]
    rows = [(name, _number(value)) for name, value in scores.items() if _number(value)]
    return f"\n## Scores\n\n| score | value |\n|---|---|\n{_rows(rows)}\n" if rows else ""


def _number(value: Any) -> str:
    """A score as text: a number, or an estimate with its standard error; "" for what is neither."""
    match value:
        case bool():
            return ""
        case int() | float():
            return f"{value:.4g}"
        case {"value": float(mean), "standard_error": float(error)}:
            return f"{mean:.2f} ± {error:.2f} nats"
    return ""


def _rows(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
