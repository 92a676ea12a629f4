"""Training in a run directory, with checkpoints: a kill loses at most a minute of work."""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from math import isfinite
from typing import Any, final

import torch

import isavae
from isavae.blur import Blur
from isavae.data import ImageDataset, load
from isavae.data.torch_file import read_tensors
from isavae.errors import first_line
from isavae.files import atomic_write, open_regular
from isavae.progress_line import ProgressLine, time_left
from isavae.runs.build import fresh_state
from isavae.runs.config import RunConfig
from isavae.runs.directory import Run
from isavae.runs.held_out import training_images
from isavae.runs.model_file import CorruptCheckpointError, save_model
from isavae.training import (
    PRECISIONS,
    StepReport,
    TrainState,
    floats_of,
    multiplies_bfloat16,
    train,
)

# torch ends the process where it cannot start as many.
MOST_THREADS = 4096
MOST_STEPS = 10**12

OnStep = Callable[[int, int, dict[str, float]], None]


@final
class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite."""


def execute(
    run: Run,
    data: ImageDataset | None = None,
    *,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    log_every: int = 50,
    checkpoint_seconds: float = 60.0,
) -> bool:
    """Train a run to its end, from its last checkpoint if it has one.

    Args:
        run: An open run directory.
        data: The data set, with the images that the run holds out; loaded by name if left out.
        on_step: Called with (step, steps, values) whenever values are logged; by default one line
            in a terminal or a notebook shows the steps and the time left.
        should_stop: Called after every step; True writes a checkpoint and ends.
        log_every: Number of steps between lines of `log.jsonl`.
        checkpoint_seconds: Time between checkpoints in seconds; the result does not depend on it.

    Returns:
        Whether the run is finished.

    Raises:
        NonFiniteLossError: If the loss is not finite.
        CorruptCheckpointError: If the checkpoint cannot be read or does not fit the run.
        ValueError: If the data do not fit, or another process trains the run.
    """
    data = load(run.config.data) if data is None else data
    with run.held():
        _check_same_images(run, data)
        saved = _read_checkpoint(run)
        with _threads(saved["threads"] if saved else torch.get_num_threads()):
            state = _state(run, saved, data.shape)
            recorder = _Recorder(
                run, state, _metadata(run, data), on_step, log_every, checkpoint_seconds
            )
            images = training_images(run.config, data)
            with ProgressLine() as line:
                shown = _Steps(line, state.step, recorder.steps) if on_step is None else None
                return _train(run, images, state, recorder, should_stop, shown)


def _metadata(run: Run, data: ImageDataset) -> dict[str, Any]:
    """What the model file says of a run, besides its last step."""
    config = run.config
    steps = config.total_steps(len(data))
    metadata: dict[str, Any] = {"steps": steps, "shape": data.shape, "images": data.fingerprint}
    metadata["config"] = config.settings()
    if data.preprocessing is not None:
        metadata["preprocessing"] = data.preprocessing.to_dict()
    return metadata


def _train(
    run: Run,
    data: ImageDataset,
    state: TrainState,
    recorder: "_Recorder",
    should_stop: Callable[[], bool],
    shown: "_Steps | None",
) -> bool:
    """Take the remaining steps; return whether the run is finished."""
    steps = recorder.steps
    for report in take_steps(run.config, state, data, steps):
        stop = should_stop()
        recorder.take(report, last=stop or report.step == steps)
        if shown:
            shown.show(report.step)
        if stop:
            break
    return state.step >= steps


def take_steps(
    config: RunConfig, state: TrainState, images: ImageDataset, steps: int
) -> Iterator[StepReport]:
    """The steps of a run from its state on, without its directory.

    Args:
        config: The run's configuration.
        state: Its state, such as `fresh_state(config, images.shape)`; changed in place.
        images: What it is trained on, `training_images(config, data)`.
        steps: Total number of steps, `config.total_steps(len(data))`.
    """
    return train(
        state,
        images,
        config.objective,
        steps=steps,
        batch_size=config.batch_size,
        seed=config.seed,
        blur=Blur(config.blur, config.blur_until),
        learning_rate_end=config.learning_rate_end,
    )


def _check_same_images(run: Run, data: ImageDataset) -> None:
    """Check that a run goes on with the images that it began with.

    Raises:
        ValueError: If they have changed.
    """
    before = run.metadata().get("images") if run.model_path.exists() else None
    if before and data.fingerprint and before != data.fingerprint:
        raise ValueError(
            f"a resumed run must keep the images that it began with; those of {data.name} have "
            f"changed since {run.path} was started: restore them, or start a new run"
        )


def _read_checkpoint(run: Run) -> dict[str, Any] | None:
    """The run's checkpoint, if there is one."""
    if not run.state_path.exists():
        return None
    with _refusing_corrupt(run):
        with open_regular(run.state_path) as file:
            saved = read_tensors(file, run.state_path)
        named = isinstance(saved["device"], str) and isinstance(saved["kernels"], str)
        if saved["precision"] not in PRECISIONS or not named:
            raise ValueError("it names no device and precision")
        for name, least, most in (("step", 0, MOST_STEPS), ("threads", 1, MOST_THREADS)):
            if type(saved[name]) is not int or not least <= saved[name] <= most:
                raise ValueError(f"its {name} must be {least} to {most:,}")
        return saved


def _state(run: Run, saved: dict[str, Any] | None, shape: tuple[int, int, int]) -> TrainState:
    """The state of a run at its checkpoint, with the precision that it began with."""
    state = fresh_state(run.config, shape)
    if saved is None:
        return state
    began = saved["precision"]
    chosen = run.config.precision != "auto" or multiplies_bfloat16(state.model.device)
    lacking = began == "bfloat16" and not chosen
    if state.model.device.type != saved["device"] or lacking or saved["kernels"] != _kernels():
        warnings.warn(
            f"{run.path} began on another device ({saved['device']}, {saved['kernels']}, {began}): "
            "it goes on, but not bit for bit as it would have there",
            stacklevel=2,
        )
    with _refusing_corrupt(run):
        state.load_state_dict(saved)
    state.model.network_dtype = PRECISIONS[began]
    return state


@contextmanager
def _refusing_corrupt(run: Run) -> Iterator[None]:
    """Turn any error of reading a checkpoint into a `CorruptCheckpointError`."""
    try:
        yield
    except Exception as error:
        raise CorruptCheckpointError(
            f"a checkpoint must be whole and fit its run; {run.state_path} does not "
            f"({first_line(error)}): delete it to start the run again from step 0"
        ) from error


def _kernels() -> str:
    """The instructions of the CPU that torch computes with: others round otherwise."""
    return torch.backends.cpu.get_cpu_capability()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads for the duration of the block: sums depend on their number."""
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


@final
class _Steps:
    """Shows how many steps are taken, and how long the rest takes at the rate of this process."""

    def __init__(self, line: ProgressLine, first: int, steps: int):
        self._line, self._first, self._steps = line, first, steps
        self._started = time.monotonic()

    def show(self, step: int) -> None:
        text = f"step {step:,} of {self._steps:,}, {100 * step / self._steps:.0f} %"
        if step < self._steps:
            seconds = (time.monotonic() - self._started) / (step - self._first)
            text += f", {time_left(seconds * (self._steps - step))}"
        self._line(text)


@final
class _Recorder:
    """Checks, logs and checkpoints the steps that one process takes."""

    def __init__(
        self,
        run: Run,
        state: TrainState,
        metadata: dict[str, Any],
        on_step: OnStep | None,
        log_every: int,
        checkpoint_seconds: float,
    ):
        self._run, self._state, self._metadata = run, state, metadata
        self.steps: int = metadata["steps"]
        self._on_step, self._log_every = on_step, log_every
        self._checkpoint_seconds = checkpoint_seconds
        self._device = state.model.device
        self._arithmetic = {
            "device": self._device.type,
            "precision": str(state.model.network_dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "kernels": _kernels(),
        }
        self._unchecked: list[StepReport] = []
        self._started = self._saved = time.monotonic()
        self._log_path = run.path / "log.jsonl"
        self._start_log()
        if state.step:  # a kill between the two files of a checkpoint leaves an old one
            self._save_model()

    def take(self, report: StepReport, last: bool) -> None:
        """Record one step; `last` forces a checkpoint."""
        self._unchecked.append(report)
        due = last or time.monotonic() - self._saved > self._checkpoint_seconds
        # Reading a value waits for the device, which is free on the CPU.
        if due or self._device.type == "cpu" or report.step % self._log_every == 0:
            self._require_finite()
        shown = report.step % self._log_every == 0 or report.step == self.steps
        values = report.to_floats() if shown else {}
        if shown:
            self._append({"step": report.step, **values})
        if due:
            self._checkpoint()
        if shown and self._on_step:  # last, for what shows it may be gone
            self._on_step(report.step, self.steps, values)

    def _require_finite(self) -> None:
        for report, values in zip(self._unchecked, floats_of(self._unchecked), strict=True):
            # The loss comes first and is the sum of the others: the last bad term is the cause.
            bad = [name for name, value in values.items() if not isfinite(value)]
            if bad:
                raise NonFiniteLossError(
                    f"every term of the loss must be finite; {bad[-1]} is {values[bad[-1]]} at "
                    f"step {report.step}: lower the learning rate or change the prior; "
                    f"{self._last_checkpoint()}"
                )
        self._unchecked.clear()

    def _last_checkpoint(self) -> str:
        if not self._run.state_path.exists():
            return "there is no checkpoint yet"
        step = self._run.metadata()["step"]
        return f"the last good checkpoint is {self._run.state_path}, step {step}"

    def _checkpoint(self) -> None:
        state = BytesIO()  # torch reports a full disk as an error of its own
        torch.save(self._state.state_dict() | self._arithmetic, state)
        with atomic_write(self._run.state_path) as file:
            file.write(state.getbuffer())
        self._save_model()
        self._saved = time.monotonic()

    def _save_model(self) -> None:
        save_model(
            self._state.model, self._run.model_path, self._metadata | {"step": self._state.step}
        )

    def _start_log(self) -> None:
        """Drop records beyond the step that was resumed from; record where the run continues."""
        kept = [record for record in self._run.log() if record["step"] <= self._state.step]
        with atomic_write(self._log_path) as file:
            file.write("".join(json.dumps(record) + "\n" for record in kept).encode())
        self._append(
            {
                "step": self._state.step,
                "event": "start",
                **self._arithmetic,
                "device": str(self._device),
                "torch": str(torch.__version__),
                "isavae": isavae.__version__,
            }
        )

    def _append(self, record: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - self._started, 3)
        with self._log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record | {"seconds": seconds}) + "\n")
