"""`isavae train`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Literal

from tyro.conf import OmitArgPrefixes

from isavae.cli.flag_kinds import Optionally
from isavae.cli.run_flags import ObjectiveFlags, RunFlags, given
from isavae.cli.step_progress import StepProgress
from isavae.cli.terminal import say, say_wrapped
from isavae.data import ImageDataset, load
from isavae.data.catalog import check_images_are_there
from isavae.errors import counted
from isavae.runs import (
    Run,
    RunConfig,
    check_memory,
    check_trainable,
    execute,
    merge_settings,
    preset,
    read_settings,
    training_images,
)
from isavae.runs.tracking import check_tracking, tracked
from isavae.training import check_batch

NO_RUN_FLAGS, NO_OBJECTIVE_FLAGS = RunFlags(), ObjectiveFlags()


def train(
    out: Path,
    model: Optionally[str] = None,
    config: Optionally[Path] = None,
    resume: bool = False,
    track: Literal["none", "tensorboard"] = "none",
    settings: OmitArgPrefixes[RunFlags] = NO_RUN_FLAGS,  # pyrefly: ignore[not-a-type]
    objective: ObjectiveFlags = NO_OBJECTIVE_FLAGS,  # pyrefly: ignore[not-a-type]
) -> int:
    """Train a VAE on a data set.

    Flags override --config, which overrides --model. The rest is as in the paper.

    Args:
        out: The run directory to write.
        model: One of the paper's models by name.
        config: A YAML or JSON file with settings.
        resume: Continue the run in --out if there is one.
        track: Write TensorBoard event files into the run directory: tensorboard --logdir OUT.
        settings: The settings of a run.
        objective: What is minimised. In brackets: objectives with that parameter, and its default.
    """
    if track == "tensorboard":
        check_tracking()
    flags = given(settings) | {"objective": given(objective)}
    layers = [preset(model) if model else {}, read_settings(config) if config else {}, flags]
    if resume and any(out.glob("[!.]*")):
        run = Run.open(out)
        parsed = RunConfig.parse(merge_settings(run.config.settings(), *layers))
        check_images_are_there(parsed.data, str(out))
        images = load(parsed.data)
        run = run.extended(parsed, images.fingerprint)
    else:
        parsed = RunConfig.parse(merge_settings(*layers))
        check_trainable(parsed)
        images = load(parsed.data, lambda _, shape: check_memory(parsed, shape))
        check_batch(parsed.batch_size, len(training_images(parsed, images)))
        check_memory(parsed, images.shape)
        run = Run.create(out, parsed)
    return train_with_progress(run, images, track == "tensorboard")


def train_with_progress(run: Run, data: ImageDataset, track: bool = False) -> int:
    """Train a run with progress on stderr; an interrupt writes a checkpoint and ends.

    Args:
        run: The run.
        data: Its images.
        track: Whether to write TensorBoard events.
    """
    images = counted(len(data), "image")
    say_wrapped(f"{run.path}: {run.config.prior} prior on {run.config.data}, {images}")
    if held_out := len(data) - len(training_images(run.config, data)):
        verb = "is" if held_out == 1 else "are"
        say_wrapped(f"  {held_out:,} of the images {verb} held out, only to be scored by evaluate")
    unknown = data.grid.counts(only_unknown=True) if data.grid else []
    for note in [*data.notes, *unknown]:
        say_wrapped(f"  {note}")
    batch = min(run.config.batch_size, len(data))
    with (
        interruptible() as stopped,
        StepProgress("training", units_per_step=batch) as progress,
        tracked(run, progress) if track else nullcontext(progress) as on_step,
    ):
        finished = execute(run, data, on_step=on_step, should_stop=stopped)
    if finished:
        say(f"trained; next: isavae evaluate {run.path}")
        return 0
    say(f"stopped; continue with: isavae train --resume --out {run.path}")
    return 130


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Report the first SIGINT or SIGTERM through the function that is given; a second one ends."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        restore()
