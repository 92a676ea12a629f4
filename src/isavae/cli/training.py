"""`isavae train`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, final

from tyro.conf import arg

from isavae.cli.step_progress import StepProgress
from isavae.data import ImageDataset, load
from isavae.runs import (
    Run,
    RunConfig,
    check_trainable,
    execute,
    merge_settings,
    preset,
    read_settings,
)
from isavae.training import check_batch


@final
@dataclass(frozen=True)
class ObjectiveFlags:
    """An objective's parameters; each belongs to the objectives named, and has their default."""

    name: Annotated[str | None, arg(aliases=["--objective"])] = None
    """beta-vae, beta-tcvae, factor-vae, dip-vae-i, dip-vae-ii or annealed-vae."""
    beta: Annotated[float | None, arg(aliases=["--beta"])] = None
    """Weight of the KL term (beta-vae) or of the total correlation (beta-tcvae)."""
    alpha: float | None = None
    """Weight of the mutual information (beta-tcvae)."""
    gamma: Annotated[float | None, arg(aliases=["--gamma"])] = None
    """Weight of the total correlation (factor-vae), the dimension-wise KL (beta-tcvae), or the
    distance from the capacity (annealed-vae)."""
    estimator: Literal["weighted", "stratified", "stratified_published"] | None = None
    """Minibatch estimator of log q(z) (beta-tcvae)."""
    between: Literal["latents", "subspaces"] | None = None
    """What the total correlation is between (beta-tcvae)."""
    exact: bool | None = None
    """Visit all pairs for the marginals (beta-tcvae)."""
    lambda_od: float | None = None
    """Weight of the covariances (dip-vae-i, dip-vae-ii)."""
    lambda_d: float | None = None
    """Weight of the variances (dip-vae-i, dip-vae-ii)."""
    capacity: float | None = None
    """Capacity at the end, in nats (annealed-vae)."""
    capacity_steps: int | None = None
    """Steps in which the capacity rises from 0 (annealed-vae)."""
    discriminator_learning_rate: float | None = None
    """Learning rate of the discriminator (factor-vae)."""
    discriminator_decay: float | None = None
    """Factor of that rate over every 1000 steps (factor-vae)."""
    discriminator_width: int | None = None
    """Units of the discriminator's hidden layers (factor-vae)."""
    discriminator_share: float | None = None
    """Share of a batch that the discriminator learns from (factor-vae)."""
    kl_estimator: Literal["sampled", "analytic", "entropy"] | None = None
    """How the KL term is estimated (all but beta-tcvae)."""
    warmup: int | None = None
    """Steps in which the regulariser's weight rises from 0 (all but annealed-vae)."""


NO_FLAGS = ObjectiveFlags()


def train(
    out: Path,
    model: str | None = None,
    config: Path | None = None,
    data: str | None = None,
    prior: str | None = None,
    prior_scale: str | None = None,
    n_latents: int | None = None,
    learn_exponents: bool = False,
    learn_p0: bool = False,
    learn_scale: bool = False,
    lowest_exponent: float | None = None,
    prior_learning_rate: float | None = None,
    objective: ObjectiveFlags = NO_FLAGS,
    likelihood: str | None = None,
    network: str | None = None,
    width: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
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
        prior: "isa" (5 subspaces of 4, p0 = 2.1, p = 2.2), a tree such as "2.1[2.2*4, 2.2*4]",
            "normal", "laplace", "student-t(3.5)" or "gennorm(4)".
        prior_scale: s of Eq. 11 (1 as published), or "standardised" for unit mean variance.
        n_latents: number of latents, where the prior does not say it.
        learn_exponents: learn the exponents of the prior's tree but p0, from 2 on for "isa".
        learn_p0: learn p0 too.
        learn_scale: learn the prior's scale.
        lowest_exponent: lower bound of learned exponents, 1 if not given.
        prior_learning_rate: learning rate of what the prior learns, 5e-4 if not given.
        objective: what is minimised.
        likelihood: distribution of pixels: bernoulli, continuous-bernoulli, gaussian or laplace
            (learned spread), gaussian(0.1), laplace(0.1), gaussian-pixelwise, laplace-pixelwise.
        network: architecture of encoder and decoder: mlp, or conv for square images.
        width: units of its hidden layers or channels of its first, where not the paper's.
        steps: optimiser steps in all.
        epochs: passes over the data, instead of steps.
        batch_size: images per step.
        learning_rate: learning rate of Adam.
        seed: of weights, batches and noise.
        precision: of the networks; auto is bfloat16 where the hardware computes it natively.
        device: auto, cpu, cuda, cuda:N or mps.
        resume: go on with the run in --out if there is one.
    """
    flags = {k: v for k, v in locals().items() if v is not None and v is not False}
    for name in ("out", "model", "config", "resume"):
        flags.pop(name, None)
    flags["objective"] = {k: v for k, v in asdict(objective).items() if v is not None}
    layers = [preset(model) if model else {}, read_settings(config) if config else {}, flags]
    if resume and out.exists():
        run = Run.open(out)
        run = run.extended(merge_settings(run.config.settings(), *layers))
        images = load(run.config.data)
    else:
        settings = RunConfig.parse(merge_settings(*layers))
        check_trainable(settings)
        images = load(settings.data)
        check_batch(settings.batch_size, len(images))
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
