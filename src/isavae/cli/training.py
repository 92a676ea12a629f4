"""`isavae train`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from isavae.cli.progress import StepProgress
from isavae.data import ImageDataset, load
from isavae.runs import (
    Run,
    RunConfig,
    execute,
    merge_settings,
    preset,
    read_settings,
    require_trainable,
)
from isavae.training import require_batch


def train(
    out: Path,
    model: str | None = None,
    config: Path | None = None,
    data: str | None = None,
    prior: str | None = None,
    prior_scale: str | None = None,
    latent: int | None = None,
    objective: str | None = None,
    beta: float | None = None,
    likelihood: str | None = None,
    network: str | None = None,
    width: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    precision: Literal["auto", "float32", "bfloat16"] | None = None,
    device: str | None = None,
    resume: bool = False,
) -> int:
    """Train a VAE on a data set. What is not given has the paper's value (dSprites, Table 1).

    Flags override --config, which overrides --model.

    Args:
        out: the run directory to write.
        model: one of the paper's models by name.
        config: a YAML or JSON file with settings.
        data: data set: a name of `isavae data list`, or a path.
        prior: "isa" (5 subspaces of 4, p0 = 2.1, p = 2.2), "normal", or a tree such as
            "2.1[2.2*4, 2.2*4]".
        prior_scale: s of Eq. 11 (1 as published), or "standardised" for unit mean variance.
        latent: number of latents, where the prior does not say it.
        objective: what is minimised.
        beta: weight of the objective's regulariser.
        likelihood: distribution of pixels.
        network: architecture of encoder and decoder.
        width: units of its hidden layers, where not the paper's.
        steps: optimiser steps in all.
        epochs: passes over the data, instead of steps.
        batch_size: images per step.
        lr: learning rate of Adam.
        seed: of weights, batches and noise.
        precision: of the networks; auto is bfloat16 where the hardware computes it natively.
        device: auto, cpu, cuda, cuda:N or mps.
        resume: go on with the run in --out if there is one.
    """
    flags = {name: value for name, value in locals().items() if value is not None}
    for name in ("out", "model", "config", "resume"):
        flags.pop(name, None)
    layers = [preset(model) if model else {}, read_settings(config) if config else {}, flags]
    if resume and out.exists():
        run = Run.open(out)
        run = run.extended(merge_settings(run.config.settings(), *layers))
        images = load(run.config.data)
    else:
        settings = RunConfig.parse(merge_settings(*layers))
        require_trainable(settings)
        images = load(settings.data)
        require_batch(settings.batch_size, len(images))
        run = Run.create(settings, out)
    return train_with_progress(run, images)


def train_with_progress(run: Run, data: ImageDataset) -> int:
    """Train a run in the foreground: progress on stderr; an interrupt checkpoints, then ends."""
    print(f"{run.path}: {run.config.prior} prior on {run.config.data}, {len(data):,} images")
    batch = min(run.config.batch_size, len(data))
    with interruptible() as stopped, StepProgress("training", units_per_step=batch) as progress:
        finished = execute(run, data, on_step=progress, should_stop=stopped)
    if finished:
        print(f"trained; next: isavae evaluate {run.path}")
        return 0
    print(f"stopped; go on with: isavae train --resume --out {run.path}")
    return 130


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a question that answers True; a second one kills."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each, handler in previous.items():
            signal.signal(each, handler)

    previous: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
