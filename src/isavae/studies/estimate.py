"""Estimates of a study's time and disk space, from a few steps of every kind of run.

Two runs are of one kind if they differ only in settings that do not change their cost: seed,
length, learning rates, exponents of the prior, and the weights of the objective's terms.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, final

from isavae.distributions import LpTree
from isavae.models import LpNestedPrior, build_prior
from isavae.runs import RunConfig
from isavae.studies.shared_data import open_shared
from isavae.studies.timing import Cost, measure

COSTLESS = {"seed", "steps", "epochs", "learning_rate", "prior_learning_rate"}
# Bytes of settings, scores, record and directory, one disk block each, and of the lock.
SMALL_FILES = 5 * 4096
# Bytes per line of log.jsonl, and steps between two lines.
LOG_LINE, LOG_EVERY = 160, 50
# The GPU estimate is not a measurement: 20 TFLOP/s is the A100's datasheet value for float32
# (19.5), and a step launches about three hundred kernels of 10 µs.
GPU_FLOP_PER_SECOND = 20e12
GPU_STEP_SECONDS = 3e-3


@final
@dataclass(frozen=True)
class RunEstimate:
    """One run: its settings, its number of optimiser steps, and the cost of its kind."""

    config: RunConfig
    steps: int
    cost: Cost

    @property
    def seconds(self) -> float:
        """Time from start to scores on this machine."""
        cost = self.cost
        return cost.start_seconds + self.steps * cost.step_seconds + cost.scoring_seconds

    @property
    def bytes(self) -> float:
        """Disk space of the finished run."""
        return self.cost.weights_bytes + SMALL_FILES + LOG_LINE * (self.steps // LOG_EVERY + 2)


@final
@dataclass(frozen=True)
class StudyEstimate:
    """Time and disk space of a study.

    Attributes:
        runs: Its runs, in the order in which they start.
        workers: Number of runs at a time.
    """

    runs: tuple[RunEstimate, ...]
    workers: int

    @property
    def seconds(self) -> float:
        """Time until the last run is done on this machine."""
        return time_until_done([run.seconds for run in self.runs], self.workers)

    @property
    def bytes(self) -> float:
        """Disk space of the finished study."""
        return sum(run.bytes for run in self.runs)

    @property
    def checkpoint_bytes(self) -> float:
        """Additional disk space for checkpoints while the study runs, at most."""
        return sum(heapq.nlargest(self.workers, (run.cost.state_bytes for run in self.runs)))

    def gpu_seconds(self, gpus: int, flop_per_second: float = GPU_FLOP_PER_SECOND) -> float:
        """Estimate the training time on `gpus` GPUs, one run at a time on each; not measured.

        A step takes its operations over `flop_per_second`, and at least `GPU_STEP_SECONDS`.
        """
        times = (max(r.cost.step_flop / flop_per_second, GPU_STEP_SECONDS) for r in self.runs)
        steps = (run.steps for run in self.runs)
        return time_until_done([n * time for n, time in zip(steps, times, strict=True)], gpus)

    def with_steps(self, steps: int) -> "StudyEstimate":
        """The estimate for another number of steps per run."""
        return replace(self, runs=tuple(replace(run, steps=steps) for run in self.runs))

    def steps_within(self, seconds: float, most: int = 10_000_000) -> int:
        """The largest number of steps per run that fits into `seconds`; 0 if none does."""
        return bisect_right(range(1, most + 1), seconds, key=lambda n: self.with_steps(n).seconds)


def plan(
    runs: Sequence[RunConfig],
    *,
    workers: int = 1,
    threads: int = 1,
    images: int | None = 10_000,
    seconds: float = 1.0,
    on_kind: Callable[[int, int], None] | None = None,
) -> StudyEstimate:
    """Estimate time and disk space of some runs by taking a few steps of every kind of run.

    Args:
        runs: The settings of all runs, in the order in which they will start.
        workers: Number of runs at a time.
        threads: Threads per run.
        images: Images for the likelihood terms of the scores; None takes all.
        seconds: Time spent on the steps of every kind.
        on_kind: Called with (kinds measured, number of kinds) after each.

    Raises:
        ValueError: If there are no runs, or one cannot take a step.
    """
    if not runs:
        raise ValueError("a plan needs at least one run; got none")
    at_a_time = min(workers, len(runs))
    kinds = [kind_of(config) for config in runs]
    examples = dict(zip(kinds, runs, strict=True))
    costs: dict[RunConfig, Cost] = {}
    for kind, config in examples.items():
        costs[kind] = measure(
            config, workers=at_a_time, threads=threads, images=images, seconds=seconds
        )
        if on_kind:
            on_kind(len(costs), len(examples))
    sizes = {name: len(open_shared(name)) for name in {config.data for config in runs}}
    estimates = (
        RunEstimate(config, config.total_steps(sizes[config.data]), costs[kind])
        for config, kind in zip(runs, kinds, strict=True)
    )
    return StudyEstimate(tuple(estimates), at_a_time)


def kind_of(config: RunConfig) -> RunConfig:
    """The settings with fixed values in place of those that do not change the cost of a step.

    >>> kind_of(RunConfig(prior="6*20", seed=3)) == kind_of(RunConfig(prior="4*20", steps=7))
    True
    >>> kind_of(RunConfig(width=3)) == kind_of(RunConfig(width=4))
    False
    """
    weights: dict[str, Any] = {
        field.name: 1.0 for field in fields(config.objective) if field.type is float
    }
    fixed = {name: RunConfig.model_fields[name].default for name in COSTLESS}
    fixed["objective"] = replace(config.objective, **weights)
    prior = build_prior(config.prior, config.n_latents)
    if isinstance(prior, LpNestedPrior):
        exponents = (1.0,) * len(prior.tree.exponents)
        fixed["prior"] = str(LpTree(exponents, prior.tree.arities))
    return config.model_copy(update=fixed)


def time_until_done(durations: Sequence[float], workers: int) -> float:
    """When the last of some jobs ends, if each free worker takes the next one.

    >>> time_until_done([3.0, 1.0, 1.0, 4.0], 2)
    6.0
    """
    busy_until = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(busy_until, busy_until[0] + duration)
    return max(busy_until)
