"""What to train on a folder of images, and for how long: from their pixels and measured steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import yaml

from isavae.data.memory import free_memory
from isavae.data.own.folder import list_left_out
from isavae.data.pixel_statistics import PixelStatistics, measure_pixels
from isavae.fitting.training_images import TrainingImages
from isavae.models import build_prior
from isavae.runs import RunConfig, check_memory
from isavae.studies import Study, StudyEstimate, plan

# docs/practitioner.md has the measurements behind these choices.
# Exponents between and within subspaces.
P0, P = 6, 6
SUBSPACE, MIN_SUBSPACES, MAX_SUBSPACES = 2, 2, 5
# The share of the variance that as many directions as there are latents should hold.
SHARE = 0.9
SEEDS, MIN_SEEDS = 4, 2
LIKELIHOOD = ("gaussian-calibrated", "normal with the variance of the error of reconstructions")
# Standard deviation of the first blur, as a share of the longer side.
BLUR = 1 / 8
# β per pixel of an image, where pixels are calibrated: from many latents with fine details to few
# that all seeds share.
BETA_PER_PIXEL = (1 / 256, 1 / 64, 1 / 32)
# A smaller β falls from so much per pixel, in this part of the steps: more latents come into use
# after the first have lined up.
FIRST_BETA_PER_PIXEL = 1 / 64
FALLING, FALLING_POINTS = (0.2, 0.7), 5
# What every model shares, besides what is proposed.
NETWORK = {"network": "mlp-silu", "width": 256}
BATCH = 64
# Bytes per value of the images while they are read: as they are kept, and as float32.
PER_VALUE = 5
# Other pixels.
DEFAULT_BETA = (1.0, 4.0)
# The total correlation counts so many times as much as the rest of the KL.
TOTAL_CORRELATION = 5


@final
@dataclass(frozen=True)
class Proposal:
    """What will be trained, and why.

    Attributes:
        config: The fields of `RunConfig` that all runs share: all but data, objective and seed.
        beta: The values of β, the weight of the KL.
        seeds: Runs per β.
        reasons: One sentence per decision.
        first_beta: β at the beginning, where it ends smaller.
        given: What of "beta" and "seeds" was given, and is kept however short the time is.
    """

    config: dict[str, Any]
    beta: tuple[float, ...]
    seeds: int
    reasons: tuple[str, ...]
    first_beta: float = 0.0
    given: frozenset[str] = frozenset()

    def study(self, data: str) -> str:
        """The study file of these runs on the data set of that name.

        The objective is that of a β-TCVAE: β (mutual information + 5 total correlation + KL of the
        marginals), see `BetaTCVAE`.
        """
        return yaml.safe_dump(
            {
                "name": "fit",
                "about": "Candidate models for a folder of images.",
                "seeds": self.seeds,
                "settings": self.config | {"data": data},
                "runs": [{"objective": self.objective(beta)} for beta in self.beta],
            },
            sort_keys=False,
        )

    def objective(self, beta: float) -> dict[str, Any]:
        """The objective of runs whose weights end at β, as in a study file."""
        found = {
            "name": "beta-tcvae",
            "alpha": beta,
            "beta": TOTAL_CORRELATION * beta,
            "gamma": beta,
        }
        if not 0 < beta < self.first_beta:
            return found
        # Straight between points that fall by equal ratios.
        shares = np.linspace(1, 0, FALLING_POINTS)
        first, last = (share * self.config["steps"] for share in FALLING)
        factors = {
            round(last - share * (last - first)): float((self.first_beta / beta) ** share)
            for share in shares
        }
        return found | {"scheduled": "all", "schedule": [[*point] for point in factors.items()]}

    def smaller(self) -> Iterator["Proposal"]:
        """This proposal, then those with one β, and two seeds, of what was not given."""
        beta = self.beta if "beta" in self.given else (self.beta[len(self.beta) // 2],)
        seeds = self.seeds if "seeds" in self.given else MIN_SEEDS
        yield self
        for count in sorted({self.seeds, seeds}, reverse=True):
            if (beta, count) != (self.beta, self.seeds):
                said = f"The budget is short: only β = {_listed(beta)}, {count} seeds each."
                yield replace(self, beta=beta, seeds=count, reasons=(*self.reasons, said))

    def with_steps(self, steps: int, reason: str) -> "Proposal":
        """The same proposal with a number of steps per run.

        Args:
            steps: Optimiser steps.
            reason: The sentence about them, which ends the reasons.
        """
        config = self.config | {"steps": steps}
        return replace(self, config=config, reasons=(*self.reasons, reason))


def propose(
    found: TrainingImages,
    *,
    prior: str | None = None,
    likelihood: str | None = None,
    beta: Sequence[float] = (),
    seeds: int | None = None,
    learn_exponents: bool = False,
) -> Proposal:
    """Decide from the images what to train; arguments that are given are kept.

    Args:
        found: The images.
        prior: The prior, as `build_prior` reads it.
        likelihood: p(x|z), as `build_likelihood` reads it.
        beta: The values of β.
        seeds: Runs per β, at least 2: agreement takes two; 4 if left out.
        learn_exponents: Whether the exponents within subspaces are learned.

    Raises:
        ValueError: If there are fewer than two seeds, or an argument is not valid.
    """
    names = {"beta": bool(beta), "seeds": seeds is not None}
    given = frozenset(name for name, is_given in names.items() if is_given)
    seeds = SEEDS if seeds is None else seeds
    if seeds < MIN_SEEDS:
        raise ValueError(f"There must be at least two seeds to compare, but seeds is {seeds}.")
    statistics = measure_pixels(found.images)
    reasons = _describe_images(found)
    likelihood, reason = (likelihood, "as given") if likelihood else LIKELIHOOD
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
        **NETWORK,
        "batch_size": min(BATCH, len(found.images)),
        "blur": max(found.images.shape[2:]) * BLUR,
        "learning_rate_end": 0.05,
    }
    RunConfig.parse(config)
    build_prior(prior, learn_exponents=learn_exponents)
    pixels = math.prod(found.images.shape[2:])
    proposed, reason, first = _beta(likelihood, pixels)
    values, reason = (beta, "as given") if beta else (proposed, reason)
    falls = f"; smaller ones than {first:g} fall from it" if 0 < min(values) < first else ""
    reasons.append(f"β: {_listed(values)}, {reason}{falls}; {seeds} seeds each.")
    return Proposal(config, tuple(values), seeds, tuple(reasons), first, given)


def check_size(count: int, shape: tuple[int, int, int]) -> None:
    """Check that images can be held in memory and trained on, before they are read.

    Args:
        count: Their number.
        shape: (channels, height, width).

    Raises:
        ValueError: If they cannot.
    """
    needed, free = PER_VALUE * count * math.prod(shape), free_memory()
    if needed > free:
        height, width = shape[1:]
        raise ValueError(
            f"All images must fit into the {free / 1e9:.1f} GB of memory that are free, but "
            f"{count:,} of {height} x {width} take {needed / 1e9:.1f} GB: give a smaller size, "
            "such as 64, or fewer images."
        )
    check_memory(RunConfig.parse(NETWORK | {"batch_size": min(BATCH, count)}), shape)


def _listed(values: Sequence[float]) -> str:
    *first, last = (f"{value:g}" for value in values)
    return f"{', '.join(first)} and {last}" if first else last


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


def _beta(likelihood: str, pixels: int) -> tuple[Sequence[float], str, float]:
    """The values of β, why, and the one from which smaller ones fall, 0 for none.

    What a latent must be worth grows with the number of pixels that it helps to predict.
    """
    if likelihood != LIKELIHOOD[0]:
        return DEFAULT_BETA, "the weight of the KL", 0.0
    *values, first = (
        float(f"{share * pixels:.2g}") for share in (*BETA_PER_PIXEL, FIRST_BETA_PER_PIXEL)
    )
    return values, f"the weight of the KL, for {pixels:,} pixels", first


# In fewer steps than the first of these, axes are hardly ever shared.
MIN_STEPS, MAX_STEPS = 2_000, 20_000
# The share of the budget for reading, scoring and the report.
OVERHEAD = 0.15


@final
@dataclass(frozen=True)
class Budget:
    """The time for a fit and how it is used.

    Attributes:
        seconds: Time for everything.
        workers: Runs at a time.
        steps: Steps per run; None for as many as the budget allows, 2,000 to 20,000.
    """

    seconds: float
    workers: int
    steps: int | None = None


def schedule(proposal: Proposal, data: str, budget: Budget) -> Proposal:
    """The proposal with a number of steps per run, or a smaller one if the budget is short.

    Args:
        proposal: What is trained.
        data: The name of the data set.
        budget: The time for everything.
    """
    wanted = budget.steps or MIN_STEPS
    for smaller in proposal.smaller():
        foreseen = _foreseen(smaller, data, budget.workers)
        affordable = foreseen.steps_within((1 - OVERHEAD) * budget.seconds, most=MAX_STEPS)
        if affordable >= wanted:
            break
    steps = budget.steps or max(MIN_STEPS, affordable)
    planned = foreseen.with_steps(steps)
    step = 1000 * planned.runs[0].step_seconds
    at_a_time = f"{foreseen.workers} at a time, " if foreseen.workers > 1 else ""
    return smaller.with_steps(
        steps,
        f"{len(planned.runs)} runs of {steps:,} steps: about {planned.seconds / 60:.1f} minutes, "
        f"{at_a_time}as a step takes {step:.1f} ms here.{_overrun(planned, budget.seconds)}",
    )


def _overrun(foreseen: StudyEstimate, budget: float) -> str:
    """What follows if the runs are foreseen to take longer than the budget."""
    if foreseen.seconds <= budget:
        return ""
    enough = math.ceil(foreseen.seconds / (1 - OVERHEAD) / 60)
    ends = f" The budget of {budget / 60:.3g} minutes ends before that"
    if replace(foreseen, runs=foreseen.runs[:2]).seconds > budget:
        return (
            f"{ends}, and a model is chosen only when two runs have finished: give --budget "
            f"{enough}m, or resume it by the same command once it has ended."
        )
    return (
        f"{ends}: what has finished by then is used, the same command resumes the rest; "
        f"--budget {enough}m is enough for all."
    )


def _foreseen(proposal: Proposal, data: str, workers: int) -> StudyEstimate:
    study = Study.parse(replace(proposal, config=proposal.config | {"steps": 1}).study(data))
    return plan([run.config for run in study.runs], workers=workers, images=study.images)
