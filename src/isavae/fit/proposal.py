"""What to train on a folder of images, and for how long: from their pixels and measured steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import yaml

from isavae.data.own.folder import list_left_out
from isavae.fit.pixel_statistics import PixelStatistics, measure_pixels
from isavae.fit.training_images import TrainingImages
from isavae.models import GaussianLikelihood, build_likelihood, build_prior
from isavae.runs import RunConfig
from isavae.studies import Study, plan

# docs/practitioner.md has the measurements behind these choices.
# Exponents between and within subspaces.
P0, P = 6, 6
SUBSPACE, MIN_SUBSPACES, MAX_SUBSPACES = 2, 2, 5
# The share of the variance that as many directions as there are latents should hold.
SHARE = 0.9
SEEDS = 4
# Where pixels have no fixed σ.
DEFAULT_BETA = (1.0, 4.0)
# About one step of 255.
MIN_SIGMA = 0.005


@final
@dataclass(frozen=True)
class Proposal:
    """What will be trained, and why.

    Attributes:
        config: The fields of `RunConfig` that all runs share: all but data, β and seed.
        beta: The values of β.
        seeds: Runs per β.
        reasons: One sentence per decision.
    """

    config: dict[str, Any]
    beta: tuple[float, ...]
    seeds: int
    reasons: tuple[str, ...]

    def study(self, data: str) -> str:
        """The study file of these runs on the data set of that name."""
        return yaml.safe_dump(
            {
                "name": "fit",
                "about": "Candidate models for a folder of images.",
                "seeds": self.seeds,
                "settings": self.config | {"data": data},
                "runs": [{"beta": [*self.beta]}],
            },
            sort_keys=False,
        )

    def with_steps(self, steps: int, reason: str) -> "Proposal":
        """The same proposal with a number of steps per run."""
        config = self.config | {"steps": steps}
        return replace(self, config=config, reasons=(*self.reasons, reason))


def propose(
    found: TrainingImages,
    *,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: Sequence[float] = (),
    seeds: int = SEEDS,
    learn_exponents: bool = False,
) -> Proposal:
    """Decide from the images what to train; arguments that are given are kept.

    Args:
        found: The images.
        prior: The prior, as `build_prior` reads it.
        likelihood: p(x|z), as `build_likelihood` reads it.
        beta: The values of β.
        seeds: Runs per β, at least 2: agreement takes two.
        learn_exponents: Whether the exponents within subspaces are learned.

    Raises:
        ValueError: If there are fewer than two seeds, or an argument is not valid.
    """
    if seeds < 2:
        raise ValueError(f"There must be at least two seeds to compare, but seeds is {seeds}.")
    statistics = measure_pixels(found.images)
    reasons = _describe_images(found)
    likelihood, reason = (likelihood, "as given") if likelihood else _likelihood(statistics)
    reasons.append(f"Pixels: {likelihood}, {reason}.")
    prior, reason = (prior, "as given") if prior else _prior(statistics)
    reasons.append(f"Prior: {prior}, {reason}.")
    if learn_exponents:
        reasons.append("Exponents within subspaces start there and are learned.")
    config: dict[str, Any] = {
        "prior": prior,
        "prior_scale": "standardised",
        "learn_exponents": learn_exponents,
        "likelihood": likelihood,
        "network": "mlp",
        "width": 256 if math.prod(found.images.shape[2:]) <= 32 * 32 else 512,
        "batch_size": min(64, len(found.images)),
    }
    RunConfig.parse(config)
    n_latents = build_prior(prior, learn_exponents=learn_exponents).n_latents
    values, reason = (beta, "as given") if beta else _beta(statistics, likelihood, n_latents)
    shown = " and ".join(f"{beta:g}" for beta in values)
    reasons.append(f"β: {shown}, {reason}; {seeds} seeds each.")
    return Proposal(config, tuple(values), seeds, tuple(reasons))


def _describe_images(found: TrainingImages) -> list[str]:
    n, channels, height, width = found.images.shape
    widths, heights = zip(*found.original, strict=True)
    sides = f"{_range(widths)} wide and {_range(heights)} high"
    kinds = {1: "in grey, as none of a sample has colours", 3: "in colour"}
    kind = kinds.get(channels, f"with {channels} channels")
    reasons = [f"{n:,} images, {sides}, become {width} × {height} {kind}.", *found.notes]
    if found.left_out:
        count, verb = len(found.left_out), "is" if len(found.left_out) == 1 else "are"
        listed = list_left_out(found.left_out)
        reasons.append(f"{count} cannot be read and {verb} left out: {listed}.")
    if n < 500:
        reasons.append(f"{n} images are few: expect axes that depend on the seed.")
    return reasons


def _range(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low}" if low == high else f"{low} to {high}"


def _likelihood(statistics: PixelStatistics) -> tuple[str, str]:
    """Normal pixels with a fixed σ: half the contrast, or the noise where that is more."""
    half = statistics.contrast / 2
    sigma = max(half, statistics.noise, MIN_SIGMA)
    reason = (
        "half the standard deviation of a pixel between images"
        if sigma == half
        else "the noise of a pixel"
        if sigma == statistics.noise
        else "the smallest that is proposed"
    )
    if statistics.binary > 0.95:
        reason += "; black and white, but Bernoulli pixels take many times more steps"
    return f"gaussian({sigma:.2g})", reason


def _prior(statistics: PixelStatistics) -> tuple[str, str]:
    """As many subspaces as the directions with most of the variance take, up to five."""
    directions = statistics.directions(SHARE)
    wanted = -(-directions // SUBSPACE)
    subspaces = min(MAX_SUBSPACES, max(MIN_SUBSPACES, wanted))
    prior = f"{P0:g}[{', '.join([f'{P:g}*{SUBSPACE}'] * subspaces)}]"
    reason = f"as {SHARE:.0%} of the variance between images lies in {directions} directions"
    if subspaces < wanted:
        reason += f"; at most {MAX_SUBSPACES * SUBSPACE} latents are proposed"
    return prior, reason


def _beta(
    statistics: PixelStatistics, likelihood: str, n_latents: int
) -> tuple[Sequence[float], str]:
    """The β at which a linear model keeps twice as many directions as latents, and as many.

    A nonlinear model needs fewer latents than directions: one can follow a curve through several.
    """
    pixels = build_likelihood(likelihood)
    if not isinstance(pixels, GaussianLikelihood) or not isinstance(pixels.spread, float):
        return DEFAULT_BETA, "as no σ of normal pixels is given"
    kept = (2 * n_latents, n_latents)
    values = {_rounded(statistics.largest_beta(k, pixels.spread)) for k in kept}
    return sorted(values), f"where a linear model would keep {kept[0]} and {kept[1]} directions"


def _rounded(beta: float) -> float:
    return max(1.0, float(f"{beta:.2g}"))


MIN_STEPS, MAX_STEPS = 300, 20_000
# The share of the budget for reading, scoring and the report.
OVERHEAD = 0.15


@final
@dataclass(frozen=True)
class Budget:
    """The time for a fit and how it is used.

    Attributes:
        seconds: Time for everything.
        workers: Runs at a time.
        steps: Steps per run; None for as many as the budget allows, 300 to 20,000.
    """

    seconds: float
    workers: int
    steps: int | None = None


def schedule(proposal: Proposal, data: str, budget: Budget) -> Proposal:
    """The proposal with a number of steps per run.

    Args:
        proposal: What is trained.
        data: The name of the data set.
        budget: The time for everything.
    """
    study = Study.parse(replace(proposal, config=proposal.config | {"steps": 1}).study(data))
    configs = [run.config for run in study.runs]
    foreseen = plan(configs, workers=budget.workers, images=study.images)
    affordable = foreseen.steps_within((1 - OVERHEAD) * budget.seconds, most=MAX_STEPS)
    steps = budget.steps or max(MIN_STEPS, affordable)
    minutes = foreseen.with_steps(steps).seconds / 60
    step = 1000 * foreseen.runs[0].step_seconds
    at_a_time = f"{foreseen.workers} at a time, " if foreseen.workers > 1 else ""
    return proposal.with_steps(
        steps,
        f"{len(configs)} runs of {steps:,} steps: about {minutes:.1f} minutes, {at_a_time}"
        f"as a step takes {step:.1f} ms here.",
    )
