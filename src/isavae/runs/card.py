"""The model card: what others need to know about a model, from its configuration and facts."""

import re
from collections.abc import Mapping
from typing import Any

from isavae.models import Prior
from isavae.runs.config import RunConfig
from isavae.runs.held_out import HELD_OUT
from isavae.runs.latent_names import all_names

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

A variational autoencoder with the prior `{prior}` over {n_latents} latents, for images of
{channels} channel{plural}, {height} × {width} pixels with values in [0, 1].

```python
import isavae

model = isavae.TrainedModel.from_pretrained("{repo}")
mean, log_std = model.encode(images)  # (n, {channels}, {height}, {width}) -> (n, {n_latents}) twice
images = model.decode(mean)
```

## Latents

| subspace | latents | exponent |
|---|---|---|
{subspaces}
{names}
## Training

| setting | value |
|---|---|
{settings}
{scores}
## Limits

Axes of latent space that look meaningful need not be: another seed may give other axes at the same
likelihood. Nothing is known about images unlike those that the model was trained on.
"""


def model_card(
    config: RunConfig,
    prior: Prior,
    shape: tuple[int, int, int],
    facts: Mapping[str, Any],
    repo: str,
) -> str:
    """The card in Markdown, with the Hub's YAML header.

    Args:
        config: The configuration of the model.
        prior: Its prior.
        shape: (channels, height, width) of an image.
        facts: What else is known; "step", "scores" and "names" are shown.
        repo: The name that `TrainedModel.from_pretrained` takes.
    """
    channels, height, width = shape
    return _CARD.format(
        title=repo.rstrip("/").rsplit("/", 1)[-1],
        repo=repo,
        prior=config.prior,
        n_latents=prior.n_latents,
        channels=channels,
        plural="" if channels == 1 else "s",
        height=height,
        width=width,
        subspaces=_rows(_subspaces(prior)),
        names=_names(facts.get("names", {}), prior.n_latents),
        settings=_rows(_settings(config, facts.get("step"))),
        scores=_scores(facts.get("scores", {})),
    )


def _subspaces(prior: Prior) -> list[tuple[str, ...]]:
    """One row per subspace: its number, its latents counted from 1, its exponent if it has one."""
    exponents = getattr(prior, "exponents", None)
    slices = prior.subspaces
    # The root's exponent comes first. A deeper tree has several exponents per subspace.
    known = exponents is not None and len(exponents) == len(slices) + 1
    shown = [f"{p:.3g}" for p in exponents[1:].tolist()] if known else ["-"] * len(slices)
    return [
        (str(k), f"z{s.start + 1} to z{s.stop}", p)
        for k, (s, p) in enumerate(zip(slices, shown, strict=True), 1)
    ]


def _names(given: Mapping[str, str], latents: int) -> str:
    """The names that the user gave, as they are written: no character of them is Markdown."""
    rows: list[tuple[str, ...]] = [
        (f"z{k}", re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", name))
        for k, name in enumerate(all_names(given, latents), 1)
        if f"z{k}" in given
    ]
    return f"\n| latent | name |\n|---|---|\n{_rows(rows)}\n" if rows else ""


def _settings(config: RunConfig, step: int | None) -> list[tuple[str, ...]]:
    given = config.settings() | {"step": step}
    shown = [(name, f"`{value}`") for name, value in given.items() if value is not None]
    return [("weights of the objective", config.objective.weights()), *shown]


def _scores(scores: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]]
    rows = [
        (name, _score(name, score))
        for name, score in scores.items()
        if isinstance(score, dict) and "value" in score
    ]
    return f"\n## Scores\n\n| score | value |\n|---|---|\n{_rows(rows)}\n" if rows else ""


def _score(name: str, score: Mapping[str, Any]) -> str:
    """A score with its standard error, if it has one; the terms of the ELBO are in nats."""
    value, error = score["value"], score.get("standard_error")
    if name.removeprefix(HELD_OUT) in ("reconstruction", "kl"):
        return f"{value:.2f}" + ("" if error is None else f" ± {error:.2f}") + " nats"
    return f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}")


def _rows(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
