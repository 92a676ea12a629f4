"""Training in a run directory, so that a kill at any moment loses a minute at most."""

import json
import time
from collections.abc import Callable
from math import isfinite
from typing import Any, final

import torch
from torch.distributions import Independent, Normal

import isavae
from isavae.data import ImageDataset, load
from isavae.files import atomic_write
from isavae.models import NETWORKS, Prior, VAEOutput, build_likelihood, estimate_kl
from isavae.runs.config import RunConfig
from isavae.runs.directory import Run, build_adversary, build_model, prior_of, save_model
from isavae.training import (
    StepReport,
    TrainState,
    resolve_device,
    resolve_precision,
    train,
)

OnStep = Callable[[int, int, dict[str, float]], None]


@final
class CorruptCheckpointError(ValueError):
    """A run's `state.pt` cannot be read or does not fit the run."""


@final
class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite."""


def check_trainable(config: RunConfig) -> None:
    """Check what can be checked before a data set is opened and a run directory exists.

    Raises:
        ValueError: if the device is missing, a name is unknown, or parts do not fit each other.
    """
    resolve_device(config.device)
    _require_divergence(config, prior_of(config))
    build_likelihood(config.likelihood)
    if config.network not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}; got {config.network!r}")


def _require_divergence(config: RunConfig, prior: Prior) -> None:
    """Try the objective's kind of KL: not every prior has a closed form."""
    z = torch.zeros(1, prior.n_latents)
    law = Independent(Normal(z, torch.ones_like(z)), 1)
    single = VAEOutput(torch.zeros(1, 1, 1, 1), z, law, prior(), likelihood=law)
    estimate_kl(single, getattr(config.objective, "kl_estimator", "sampled"))


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
        run: an open run directory.
        data: its data set, if the caller has it at hand; loaded by name otherwise.
        on_step: called with (step, steps, values) whenever values are logged.
        should_stop: asked after every step; True checkpoints and ends.
        log_every: steps between two lines of `log.jsonl`.
        checkpoint_seconds: time between two checkpoints; the result does not depend on it.

    Returns:
        Whether the run is finished.

    Raises:
        NonFiniteLossError: if the loss is not finite; names step, term and last good checkpoint.
        CorruptCheckpointError: If the checkpoint cannot be read.
        ValueError: If the data do not fit.
    """
    config = run.config
    data = load(config.data) if data is None else data
    state = fresh_state(config, data.shape)
    _resume(run, state)
    steps = config.total_steps(len(data))
    metadata = {"steps": steps, "shape": data.shape, "config": json.loads(config.to_json())}
    recorder = _Recorder(run, state, metadata, on_step, log_every, checkpoint_seconds)
    for report in train(
        state,
        data,
        config.objective,
        steps=steps,
        batch_size=config.batch_size,
        seed=config.seed,
    ):
        stop = should_stop()
        recorder.take(report, last=stop or report.step == steps)
        if stop:
            break
    return state.step >= steps


def fresh_state(config: RunConfig, shape: tuple[int, int, int]) -> TrainState:
    """Model, optimiser and adversary of a run before its first step, on its device.

    Args:
        config: the run's configuration.
        shape: (channels, height, width) of an image.
    """
    device = resolve_device(config.device)
    model = build_model(config, shape).to(device)
    model.network_dtype = resolve_precision(config.precision, device)
    adversary = build_adversary(config, model.prior.n_latents)
    return TrainState(model, config.learning_rate, config.prior_learning_rate, adversary)


def _resume(run: Run, state: TrainState) -> None:
    """Restore the state from the run's checkpoint, if there is one."""
    if not run.state_path.exists():
        return
    try:
        state.load_state_dict(torch.load(run.state_path, weights_only=True))
    except Exception as error:
        raise CorruptCheckpointError(
            f"a checkpoint must be whole and fit its run; {run.state_path} does not "
            f"({str(error).splitlines()[0]}): delete it to start the run again from step 0"
        ) from error


@final
class _Recorder:
    """Checks, logs and checkpoints the steps of one process's share of a run."""

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
        self._on_step, self._log_every = on_step, log_every
        self._checkpoint_seconds = checkpoint_seconds
        self._device = next(state.model.parameters()).device
        self._unchecked: list[StepReport] = []
        self._started = self._saved = time.monotonic()
        self._log_path = run.path / "log.jsonl"
        self._start_log()
        if state.step:  # a kill may have come between the two files of the checkpoint
            self._save_model()

    def take(self, report: StepReport, last: bool) -> None:
        """Note one step; `last` writes a checkpoint whatever the time."""
        self._unchecked.append(report)
        due = last or time.monotonic() - self._saved > self._checkpoint_seconds
        # Reading a value waits for the device: on the CPU that costs nothing.
        if due or self._device.type == "cpu" or report.step % self._log_every == 0:
            self._require_finite()
        if report.step % self._log_every == 0 or report.step == self._metadata["steps"]:
            values = report.to_floats()
            self._append({"step": report.step, **values})
            if self._on_step:
                self._on_step(report.step, self._metadata["steps"], values)
        if due:
            self._checkpoint()

    def _require_finite(self) -> None:
        for report in self._unchecked:
            values = report.to_floats()
            # The loss comes first and sums up the others: the term to name is the last bad one.
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
        with atomic_write(self._run.state_path) as file:
            torch.save(self._state.state_dict(), file)
        self._save_model()
        self._saved = time.monotonic()

    def _save_model(self) -> None:
        save_model(
            self._state.model, self._run.model_path, self._metadata | {"step": self._state.step}
        )

    def _start_log(self) -> None:
        """Drop what lies beyond the step that was resumed from; note where the work is done."""
        kept = [record for record in self._run.log() if record["step"] <= self._state.step]
        with atomic_write(self._log_path) as file:
            file.write("".join(json.dumps(record) + "\n" for record in kept).encode())
        self._append(
            {
                "step": self._state.step,
                "event": "start",
                "device": str(self._device),
                "precision": str(self._state.model.network_dtype).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "torch": str(torch.__version__),
                "isavae": isavae.__version__,
            }
        )

    def _append(self, record: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - self._started, 3)
        with self._log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record | {"seconds": seconds}) + "\n")
