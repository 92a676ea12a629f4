"""Estimates of a study's time and disk space, from a few steps of its runs on this machine.

Runs are measured once if they differ only in settings that do not change the cost of a step: seed,
length, learning rates, exponents of the prior, and the weights of the objective's terms.
"""

import heapq
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from statistics import mean
from typing import Any, final

import torch

from isavae.blur import Blur
from isavae.data import ImageDataset
from isavae.distributions import LpTree
from isavae.evaluation import BATCH, encode_all, likelihood_terms
from isavae.metrics import Codes, mig
from isavae.models import VAE, LpNestedPrior, build_prior
from isavae.runs import RunConfig, fresh_state
from isavae.studies.forking import results_of
from isavae.studies.shared_data import open_shared
from isavae.training import StepReport, TrainState, train

COSTLESS = {
    "seed", "steps", "epochs", "learning_rate", "learning_rate_end", "prior_learning_rate"
}  # fmt: skip
# Bytes of settings, scores, record and directory, one disk block each, and of the lock.
SMALL_FILES = 5 * 4096
# Bytes per line of log.jsonl, and steps between two lines.
LOG_LINE, LOG_EVERY = 160, 50
# Steps before the timing starts, for the first one creates the optimiser's state, and the least
# number of steps that are timed.
WARM_UP, FEWEST = 2, 3


@final
@dataclass(frozen=True)
class RunEstimate:
    """The cost of one run.

    Attributes:
        steps: Number of optimiser steps.
        step_seconds: Time per step.
        other_seconds: Time for data set and model before the first step, and for the scores.
        weights_bytes: Size of the weights.
    """

    steps: int
    step_seconds: float
    other_seconds: float
    weights_bytes: int

    @property
    def seconds(self) -> float:
        """Time from start to scores."""
        return self.other_seconds + self.steps * self.step_seconds

    @property
    def bytes(self) -> int:
        """Disk space of the finished run."""
        return self.weights_bytes + SMALL_FILES + LOG_LINE * (self.steps // LOG_EVERY + 2)


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
        """Time until the last run is done, if each free worker takes the next one."""
        busy_until = [0.0] * self.workers
        for run in self.runs:
            heapq.heapreplace(busy_until, busy_until[0] + run.seconds)
        return max(busy_until)

    @property
    def bytes(self) -> int:
        """Disk space of the finished study."""
        return sum(run.bytes for run in self.runs)

    def with_steps(self, steps: int) -> "StudyEstimate":
        """The estimate for another number of steps per run."""
        return replace(self, runs=tuple(replace(run, steps=steps) for run in self.runs))

    def steps_within(self, seconds: float, most: int = 10_000_000) -> int:
        """The largest number of steps per run that fits into `seconds`; 0 if none does.

        Args:
            seconds: Time for the whole study.
            most: The number never exceeded.
        """
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
        seconds: Time spent on the steps of every kind; at least three steps are taken.
        on_kind: Called with (kinds measured, number of kinds) after each.

    Raises:
        ValueError: If there are no runs, one cannot take a step, or this system cannot fork.
    """
    if not runs:
        raise ValueError("a plan needs at least one run; got none")
    at_a_time = min(workers, len(runs))
    kinds = [_kind_of(config) for config in runs]
    examples = dict(zip(kinds, runs, strict=True))
    measured: dict[RunConfig, RunEstimate] = {}
    for kind, config in examples.items():
        measured[kind] = measure(config, at_a_time, threads, images, seconds)
        if on_kind:
            on_kind(len(measured), len(examples))
    sizes = {name: len(open_shared(name)) for name in {config.data for config in runs}}
    estimates = (
        replace(measured[kind], steps=config.total_steps(sizes[config.data]))
        for config, kind in zip(runs, kinds, strict=True)
    )
    return StudyEstimate(tuple(estimates), at_a_time)


def measure(
    config: RunConfig, workers: int, threads: int, images: int | None, seconds: float
) -> RunEstimate:
    """Time some steps and the scores of a run, in `workers` processes at once; their mean."""
    try:
        costs = results_of(workers, _cost, config, threads, images, seconds)
    except EOFError:
        raise ValueError(
            "a run must be able to take a step to be timed; its process was killed, possibly "
            "because memory ran out: use fewer workers"
        ) from None
    names = [field.name for field in fields(RunEstimate)]
    return RunEstimate(**{name: mean(getattr(cost, name) for cost in costs) for name in names})


def _cost(config: RunConfig, threads: int, images: int | None, seconds: float) -> RunEstimate:
    begun = time.monotonic()
    data, state, steps = warmed_up(config, threads, WARM_UP)
    ready, taken = time.monotonic(), 0
    while taken < FEWEST or time.monotonic() - ready < seconds:
        next(steps).to_floats()
        taken += 1
    step_seconds = (time.monotonic() - ready) / taken + _blur_seconds(config, data)
    return RunEstimate(
        steps=config.total_steps(len(data)),
        step_seconds=step_seconds,
        other_seconds=max(0.0, ready - begun - WARM_UP * step_seconds)
        + _scoring_seconds(state.model, data, images),
        weights_bytes=sum(tensor.nbytes for tensor in state.model.state_dict().values()),
    )


def warmed_up(
    config: RunConfig, threads: int, first: int
) -> tuple[ImageDataset, TrainState, Iterator[StepReport]]:
    """Data, state and endless steps of a run to time, after `first` steps, which take longer."""
    torch.set_num_threads(threads)
    data = open_shared(config.data)
    state = fresh_state(config, data.shape)
    steps = train(
        state, data, config.objective,
        steps=1 << 60, batch_size=config.batch_size, seed=config.seed,
    )  # fmt: skip
    for _ in range(first):
        next(steps).to_floats()
    return data, state, steps


def _blur_seconds(config: RunConfig, data: ImageDataset) -> float:
    """Time that blurring takes per step of the run, a part of which is blurred."""
    images = data.minibatch(config.seed, 0, config.batch_size)
    begun = time.monotonic()
    for _ in range(FEWEST):
        Blur(config.blur)(images, 0.0)
    return config.blur_until * (time.monotonic() - begun) / FEWEST


def _scoring_seconds(model: VAE, data: ImageDataset, images: int | None) -> float:
    """Time of the likelihood terms on some images, scaled, and of the MIG on made-up codes."""
    part = data.sample(BATCH) if len(data) > BATCH else data
    scored = len(data) if images is None else min(images, len(data))
    begun = time.monotonic()
    encode_all(model, part)
    encoded = time.monotonic()
    likelihood_terms(model, part)
    ended = time.monotonic()
    seconds = ((encoded - begun) * len(data) + (ended - encoded) * scored) / len(part)
    if data.grid is not None:
        means = torch.randn(len(data), model.prior.n_latents)
        begun = time.monotonic()
        mig(Codes(means, torch.full_like(means, -1.0), data.grid))
        seconds += time.monotonic() - begun
    return seconds


def _kind_of(config: RunConfig) -> RunConfig:
    """The settings with fixed values in place of those that do not change the cost of a step."""
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
