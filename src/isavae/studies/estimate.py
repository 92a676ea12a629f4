"""How long a study will take and how much disk it will need, from a few steps of every kind of run.

Two runs are of one kind if they differ only in settings that cost nothing: seed, length, learning
rates, exponents of the prior, and the weights of the objective's terms.
"""

import heapq
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from isavae.runs import RunConfig
from isavae.studies.shared_data import open_shared
from isavae.studies.tables.run_table import model_name
from isavae.studies.timing import Cost, measure

COSTLESS = {"seed", "steps", "epochs", "learning_rate", "prior_learning_rate"}
WEIGHTS = {
    "beta",
    "gamma",
    "alpha",
    "lambda_od",
    "lambda_d",
    "capacity",
    "discriminator_learning_rate",
}
SMALL_FILES = 5 * 4096  # bytes: settings, scores, work and directory, a block each, and the lock
LOG_LINE, LOG_EVERY = 160, 50  # bytes, and steps between two lines of log.jsonl

# Of the estimate for GPUs, which is no measurement: 20 TFLOP/s is what an A100's datasheet gives
# for float32 (19.5), and no step takes less than some three hundred kernel launches of 10 µs.
GPU_FLOP_PER_SECOND = 20e12
GPU_STEP_SECONDS = 3e-3
OWN_PRIOR = ", own prior"


@final
@dataclass(frozen=True)
class RunEstimate:
    """One run of a plan: its settings, its optimiser steps, and what its kind costs."""

    config: RunConfig
    steps: int
    cost: Cost

    @property
    def seconds(self) -> float:
        """Time from its start to its scores, here."""
        cost = self.cost
        return cost.start_seconds + self.steps * cost.step_seconds + cost.scoring_seconds

    @property
    def bytes(self) -> float:
        """Disk that it keeps when it is done."""
        return self.cost.weights_bytes + SMALL_FILES + LOG_LINE * (self.steps // LOG_EVERY + 2)

    def gpu_seconds(self, flop_per_second: float = GPU_FLOP_PER_SECOND) -> float:
        """An estimate of its time on a GPU: operations over a rate, and a floor per step."""
        step = max(self.cost.step_flop / flop_per_second, GPU_STEP_SECONDS)
        return self.steps * step + self.cost.scoring_flop / flop_per_second


@final
@dataclass(frozen=True)
class StudyEstimate:
    """What a study will take.

    Attributes:
        runs: its runs, in the order in which they will be started.
        workers: runs at a time.
        threads: threads of each.
    """

    runs: tuple[RunEstimate, ...]
    workers: int
    threads: int

    @property
    def seconds(self) -> float:
        """Time until the last run is done, here."""
        return time_until_done([run.seconds for run in self.runs], self.workers)

    @property
    def bytes(self) -> float:
        """Disk that the finished study takes."""
        return sum(run.bytes for run in self.runs)

    @property
    def checkpoint_bytes(self) -> float:
        """Disk that checkpoints take at most, beside that, while it runs."""
        return sum(heapq.nlargest(self.workers, (run.cost.state_bytes for run in self.runs)))

    def gpu_seconds(self, gpus: int, flop_per_second: float = GPU_FLOP_PER_SECOND) -> float:
        """An estimate of the time on so many GPUs, a run at a time on each.

        A step takes its matrix products' operations over a stated rate, and at least
        `GPU_STEP_SECONDS`; nothing of it is measured.
        """
        return time_until_done([run.gpu_seconds(flop_per_second) for run in self.runs], gpus)

    def with_steps(self, steps: int) -> "StudyEstimate":
        """The same with another length of every run."""
        return replace(self, runs=tuple(replace(run, steps=steps) for run in self.runs))

    def steps_within(self, seconds: float, most: int = 10_000_000) -> int:
        """The most steps per run with which the study is done in that time; 0 if none are."""
        lengths = range(1, most + 1)
        return bisect_right(lengths, seconds, key=lambda n: self.with_steps(n).seconds)


def plan(
    runs: Sequence[RunConfig],
    *,
    workers: int = 1,
    threads: int = 1,
    images: int | None = 10_000,
    seconds: float = 1.0,
    on_kind: Callable[[int, int], None] | None = None,
) -> StudyEstimate:
    """Foresee what some runs will take here, by taking a few steps of every kind of them.

    Args:
        runs: the settings of all runs, in the order in which they will be started.
        workers: runs at a time.
        threads: threads of each.
        images: images for the likelihood terms of the scores; None takes all.
        seconds: for which steps of every kind are taken.
        on_kind: called with (kinds measured, kinds) after each.

    Raises:
        ValueError: if there are no runs, or one cannot take a step.
    """
    if not runs:
        raise ValueError("a plan needs at least one run; got none")
    at_a_time = min(workers, len(runs))
    kinds = {kind_of(config): config for config in runs}
    costs: dict[str, Cost] = {}
    for kind, config in kinds.items():
        costs[kind] = measure(
            config, workers=at_a_time, threads=threads, images=images, seconds=seconds
        )
        if on_kind:
            on_kind(len(costs), len(kinds))
    sizes = {name: len(open_shared(name)) for name in {config.data for config in runs}}
    foreseen = (
        RunEstimate(config, config.total_steps(sizes[config.data]), costs[kind_of(config)])
        for config in runs
    )
    return StudyEstimate(tuple(foreseen), at_a_time, threads)


def kind_of(config: RunConfig) -> str:
    """What all runs of one cost share, as text.

    >>> kind_of(RunConfig(seed=3, steps=7)) == kind_of(RunConfig(learning_rate=0.1))
    True
    >>> kind_of(RunConfig(width=3)) == kind_of(RunConfig(width=4))
    False
    """
    return json.dumps(_costly(config), sort_keys=True)


def labels(runs: Sequence[RunConfig]) -> list[str]:
    """A short name for each run's kind: its model, and the other settings in which kinds differ.

    >>> labels([RunConfig(prior="6*20"), RunConfig(width=9, prior="normal")])
    ['beta-vae prior=p*20', 'beta-vae width=9']
    """
    kinds = {kind_of(config): _costly(config) for config in runs}
    told = {"objective", "prior", "prior_scale", "learn_exponents"}  # by the model's name
    differing = [
        name
        for name in RunConfig.model_fields
        if len({json.dumps(kind.get(name)) for kind in kinds.values()}) > 1 and name not in told
    ]
    names = {}
    for config in runs:
        kind = kinds[kind_of(config)]
        model = model_name(config.settings())
        shown = ["prior", *differing] if model.endswith(OWN_PRIOR) else differing
        given = [f"{name}={kind[name]}" for name in shown if kind[name] is not None]
        names[kind_of(config)] = " ".join([model.removesuffix(OWN_PRIOR), *given])
    return [names[kind_of(config)] for config in runs]


def _costly(config: RunConfig) -> dict[str, Any]:
    """The settings that decide how long a step takes, with exponents as p."""
    settings = config.model_dump(mode="json", exclude=COSTLESS)
    objective = {k: v for k, v in settings["objective"].items() if k not in WEIGHTS}
    layout = re.sub(r"[\d.]+(?=[*\[])", "p", settings["prior"])
    return settings | {"objective": objective, "prior": layout}


def time_until_done(durations: Sequence[float], workers: int) -> float:
    """When the last of some jobs ends, if whoever is free takes the next one.

    >>> time_until_done([3.0, 1.0, 1.0, 4.0], 2)
    6.0
    """
    busy_until = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(busy_until, busy_until[0] + duration)
    return max(busy_until)
