"""What to train on somebody's pictures: likelihood, layout, β and seeds, from the pictures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import yaml

from isavae.fit.inspection import Inspection, inspect
from isavae.fit.pictures import Pictures
from isavae.models import build_prior
from isavae.runs import RunConfig

# What is measured of these choices: docs/practitioner.md.
P0, P = 6, 6  # exponents between and within subspaces
SUBSPACE, FEWEST_SUBSPACES, MOST_SUBSPACES = 2, 2, 5
SHARE = 0.9  # of the variance, which as many directions as there are latents should hold
SEEDS = 4
BETAS_OTHERWISE = (1.0, 4.0)  # where pixels have no fixed σ to weigh against
SMALLEST_SPREAD = 0.005  # about one step of 255


@final
@dataclass(frozen=True)
class Proposal:
    """What will be trained, and why.

    Attributes:
        settings: of every run, as `RunConfig` has them, all but data, β and seed.
        beta: the values of β.
        seeds: runs per β.
        reasons: one sentence per decision.
    """

    settings: dict[str, Any]
    beta: tuple[float, ...]
    seeds: int
    reasons: tuple[str, ...]

    def study(self, data: str) -> str:
        """The study file of these runs on the data set of that name."""
        return yaml.safe_dump(
            {
                "name": "fit",
                "about": "Candidates for a model of somebody's pictures.",
                "seeds": self.seeds,
                "settings": self.settings | {"data": data},
                "runs": [{"beta": [*self.beta]}],
            },
            sort_keys=False,
        )

    def with_steps(self, steps: int, reason: str) -> "Proposal":
        """The same with a length of its runs."""
        settings = self.settings | {"steps": steps}
        return replace(self, settings=settings, reasons=(*self.reasons, reason))


def propose(
    pictures: Pictures,
    *,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: Sequence[float] = (),
    seeds: int = SEEDS,
    learn_exponents: bool = False,
) -> Proposal:
    """Decide what to train from the pictures; what is given is taken as it is.

    Args:
        pictures: what is trained on.
        prior: the prior, as `build_prior` reads it.
        likelihood: p(x|z), as `build_likelihood` reads it.
        beta: the values of β.
        seeds: runs per β, at least 2: agreement takes two.
        learn_exponents: whether the exponents within subspaces are learned from the pictures.

    Raises:
        ValueError: if there are fewer than two seeds, or a wish is none that can be met.
    """
    if seeds < 2:
        raise ValueError(f"agreement across seeds takes at least two of them; got {seeds}")
    looks = inspect(pictures.images)
    reasons = _of_pictures(pictures)
    likelihood, reason = (likelihood, "as asked for") if likelihood else _likelihood(looks)
    reasons.append(f"Pixels: {likelihood}, {reason}.")
    prior, reason = (prior, "as asked for") if prior else _prior(looks)
    reasons.append(f"Prior: {prior}, {reason}.")
    if learn_exponents:
        reasons.append("Exponents within subspaces start there and are learned.")
    settings: dict[str, Any] = {
        "prior": prior,
        "prior_scale": "standardised",
        "learn_exponents": learn_exponents,
        "likelihood": likelihood,
        "network": "mlp",
        "width": 256 if pictures.images.shape[2] <= 32 else 512,
        "batch_size": min(64, len(pictures.images)),
    }
    RunConfig.parse(settings)
    latents = build_prior(prior, learn_exponents=learn_exponents).n_latents
    values, reason = (beta, "as asked for") if beta else _betas(looks, likelihood, latents)
    shown = " and ".join(f"{beta:g}" for beta in values)
    reasons.append(f"β: {shown}, {reason}; {seeds} seeds each.")
    return Proposal(settings, tuple(values), seeds, tuple(reasons))


def _of_pictures(pictures: Pictures) -> list[str]:
    n, channels, edge, _ = pictures.images.shape
    widths, heights = zip(*pictures.original, strict=True)
    sides = f"{_range(widths)} wide and {_range(heights)} high"
    kind = "in colour" if channels == 3 else "in grey, as none has a colour"
    reasons = [f"{n:,} pictures, {sides}, become {edge} × {edge} {kind}."]
    if pictures.skipped:
        named = "; ".join(f"{name} ({why})" for name, why in [*pictures.skipped.items()][:5])
        count, verb = len(pictures.skipped), "is" if len(pictures.skipped) == 1 else "are"
        more = ", and others" if len(pictures.skipped) > 5 else ""
        reasons.append(f"{count} cannot be read and {verb} left out: {named}{more}.")
    if n < 500:
        reasons.append(f"{n} pictures are few: expect axes that depend on the seed.")
    return reasons


def _range(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low}" if low == high else f"{low} to {high}"


def _likelihood(looks: Inspection) -> tuple[str, str]:
    """Normal pixels with a fixed σ: half the contrast, or the noise where that is more."""
    half = looks.contrast / 2
    spread = max(half, looks.noise, SMALLEST_SPREAD)
    why = (
        "half of how much a pixel varies between pictures"
        if spread == half
        else "the noise of a pixel"
        if spread == looks.noise
        else "the smallest worth telling"
    )
    if looks.binary > 0.95:
        why += "; black and white, but Bernoulli pixels take many times more steps"
    return f"gaussian({spread:.2g})", why


def _prior(looks: Inspection) -> tuple[str, str]:
    """As many subspaces as it takes for the directions in which pictures differ, up to five."""
    directions = looks.directions(SHARE)
    wanted = -(-directions // SUBSPACE)
    subspaces = min(MOST_SUBSPACES, max(FEWEST_SUBSPACES, wanted))
    prior = f"{P0:g}[{', '.join([f'{P:g}*{SUBSPACE}'] * subspaces)}]"
    held = f"as {SHARE:.0%} of how pictures differ lies in {directions} directions"
    if subspaces < wanted:
        held += f"; at most {MOST_SUBSPACES * SUBSPACE} latents are proposed"
    return prior, held


def _betas(looks: Inspection, likelihood: str, latents: int) -> tuple[Sequence[float], str]:
    """The β at which a linear model would keep twice as many directions as latents, and as many.

    A model that is not linear needs fewer: it says with one latent what is a bend of directions.
    """
    fixed = re.fullmatch(r"gaussian\(([^()]*)\)", likelihood)
    if not fixed:
        return BETAS_OTHERWISE, "as no σ of normal pixels is given"
    kept = (2 * latents, latents)
    values = {_rounded(looks.weight_keeping(k, float(fixed[1]))) for k in kept}
    return sorted(values), f"where a linear model would keep {kept[0]} and {kept[1]} directions"


def _rounded(beta: float) -> float:
    return max(1.0, float(f"{beta:.2g}"))
