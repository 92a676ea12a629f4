"""What to train on somebody's pictures: size, likelihood, layout, β, seeds and length."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, final

import torch
import yaml

from isavae.data import ImageDataset
from isavae.fit.pictures import Pictures
from isavae.runs import RunConfig, build_model
from isavae.training import TrainState, train

# Likelihood and β: the tuning runs in docs/practitioner.md. Exponents: the demo (docs/demo.md).
LAYOUT = "2.1[6*2, 6*2, 6*2, 6*2, 6*2]"
LIKELIHOOD = "gaussian(0.1)"
BETAS = (4.0, 16.0)
SEEDS = 4
FEWEST_STEPS, MOST_STEPS = 300, 20_000
OVERHEAD = 0.15  # of the budget: reading, scoring, the report


@final
@dataclass(frozen=True)
class Proposal:
    """What will be trained, and why.

    Attributes:
        settings: of every run, as `RunConfig` has them, all but data, β and seed.
        betas: the values of β.
        seeds: runs per β.
        reasons: one sentence per decision.
    """

    settings: dict[str, Any]
    betas: tuple[float, ...]
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
                "runs": [{"beta": [*self.betas]}],
            },
            sort_keys=False,
        )


def propose(
    pictures: Pictures,
    budget: float,
    workers: int,
    *,
    layout: str = LAYOUT,
    betas: Sequence[float] = BETAS,
    seeds: int = SEEDS,
    steps: int | None = None,
) -> Proposal:
    """Decide what to train, from the pictures and from how long a step takes here.

    Args:
        pictures: what is trained on.
        budget: seconds for everything.
        workers: runs at a time.
        layout: the prior, as `build_prior` reads it.
        betas: the values of β.
        seeds: runs per β, at least 2: agreement takes two.
        steps: of each run; by default as many as the budget allows.

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    if seeds < 2:
        raise ValueError(f"agreement across seeds takes at least two of them; got {seeds}")
    data = ImageDataset.from_arrays(pictures.images)
    settings: dict[str, Any] = {
        "prior": layout,
        "prior_scale": "standardised",
        "likelihood": LIKELIHOOD,
        "network": "mlp",
        "width": 256 if data.shape[1] <= 32 else 512,
        "batch_size": min(64, len(data)),
    }
    seconds = step_seconds(RunConfig.parse(settings), data)
    runs = len(betas) * seeds
    if steps is None:
        affordable = int((1 - OVERHEAD) * budget * workers / (runs * seconds))
        steps = min(MOST_STEPS, max(FEWEST_STEPS, affordable))
    settings["steps"] = steps
    reasons = [*_of_pictures(pictures), *_of_model(settings)]
    values = " and ".join(f"{beta:g}" for beta in betas)
    reasons.append(
        f"{runs} runs of {steps:,} steps: β = {values}, {seeds} seeds each; "
        f"about {runs * steps * seconds / workers / 60:.1f} minutes with {workers} at a time, "
        f"as a step takes {1000 * seconds:.1f} ms here."
    )
    return Proposal(settings, tuple(betas), seeds, tuple(reasons))


def step_seconds(config: RunConfig, data: ImageDataset, steps: int = 20) -> float:
    """How long an optimiser step takes here on one thread, by taking a few."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = TrainState(build_model(config, data.shape), config.lr)
        size = config.batch_size
        taken = train(state, data, config.objective, steps=steps, batch_size=size, seed=0)
        times = [time.perf_counter() for _ in taken]
    finally:
        torch.set_num_threads(threads)
    return median(later - earlier for earlier, later in pairwise(times))


def _of_pictures(pictures: Pictures) -> list[str]:
    n, channels, edge, _ = pictures.images.shape
    widths, heights = zip(*pictures.original, strict=True)
    sides = f"{min(widths)} to {max(widths)} wide and {min(heights)} to {max(heights)} high"
    kind = "in colour" if channels == 3 else "in grey, as none has a colour"
    reasons = [f"{n:,} pictures, {sides}, become {edge} × {edge} {kind}."]
    if pictures.skipped:
        named = "; ".join(f"{name} ({why})" for name, why in [*pictures.skipped.items()][:5])
        more = ", and others" if len(pictures.skipped) > 5 else ""
        reasons.append(f"{len(pictures.skipped)} cannot be read and are left out: {named}{more}.")
    if n < 500:
        reasons.append(f"{n} pictures are few: expect axes that depend on the seed.")
    return reasons


def _of_model(settings: dict[str, Any]) -> list[str]:
    return [
        "Pixels are normal with a standard deviation of 0.1, which makes a network learn within "
        "few steps.",
        f"The prior is {settings['prior']}, with latents of variance 1.",
    ]
