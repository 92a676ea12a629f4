"""The training loop: a generator with one optimiser step per iteration.

Batches and noise are functions of (seed, step). A run that resumes from a `TrainState` is therefore
the same bit for bit, whatever the caller does between two steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import cos, inf, pi
from typing import Any, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.blur import Blur
from isavae.errors import counted
from isavae.graphed_step import GraphedStep, can_be_graphed
from isavae.models import (
    VAE,
    Companion,
    NoiseStream,
    Objective,
    load_adam,
    noise_generator,
    steady_from,
)

# Added to the run's seed for second batches.
_SECOND_BATCH = 1 << 31
# Steps between two clearings of Adam's moments, which shrink by 0.9^100 = 3e-5 at most in between.
_CLEAR_EVERY = 100
# A moment below this moves no weight of float32: sqrt(1e-30) is lost beside Adam's 1e-8, and a
# step of 1e-30 / 1e-8 beside a weight. It is far above the denormal numbers, below 1.2e-38.
_TINY = 1e-30
# With AMX, a step of 64 images takes 0.9 to 1.2 times as long in bfloat16 as in float32, one of 128
# 0.7 to 0.8 times.
_FEWEST_IN_BFLOAT16 = 128
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@runtime_checkable
class Minibatches(Protocol):
    """The interface of a data set, such as `isavae.data.ImageDataset`."""

    def __len__(self) -> int: ...

    def minibatch(
        self, seed: int, step: int, batch_size: int, device: torch.device | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        """The images of that step: a pure function of (seed, step, batch_size)."""
        ...


@final
@dataclass
class TrainState:
    """The state of a run: model, optimisers, and number of steps done.

    Attributes:
        model: The model.
        learning_rate: Learning rate of Adam.
        prior_learning_rate: Learning rate of the prior's parameters.
        companion: `objective.companion(n_latents)`, which the objective trains or keeps, or None.
        step: Number of steps done.
    """

    model: VAE
    learning_rate: float = 1e-3
    prior_learning_rate: float = 5e-4
    companion: Companion | None = None
    step: int = 0
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self):
        device = self.model.device
        if self.companion is not None:
            self.companion.to(device)
        of_prior = list(self.model.prior.parameters())
        others = [p for n, p in self.model.named_parameters() if not n.startswith("prior.")]
        groups: list[dict[str, Any]] = [{"params": others}]
        if of_prior:
            groups.append({"params": of_prior, "lr": self.prior_learning_rate})
        # Counts of steps that are on the device, too: a step need not wait for it.
        self.optimizer = torch.optim.Adam(
            groups,
            lr=self.learning_rate,
            fused=device.type in ("cpu", "cuda"),
            capturable=device.type == "cuda",
        )
        if device.type == "cuda":  # where a recorded step finds its learning rates
            for group in self.optimizer.param_groups:
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)

    def scale_learning_rates(self, share: float) -> None:
        """Set the learning rates of the next step to a share of what they were given as."""
        rates = (self.learning_rate, self.prior_learning_rate)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * share)
            else:
                group["lr"] = rate * share

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and numbers, which load with `weights_only=True`."""
        optimizer = self.optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group["lr"] = float(group["lr"])
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": optimizer,
            "companion": {} if self.companion is None else self.companion.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, on the same or another device.

        Raises:
            Exception: If it is another state, several kinds.
        """
        self.model.load_state_dict(state["model"])
        load_adam(self.optimizer, state["optimizer"])
        if self.companion is not None:
            self.companion.load_state_dict(state["companion"])
        self.step = state["step"]


@final
@dataclass(frozen=True)
class StepReport:
    """The number of a step, from 1, and its loss and terms, on the device."""

    step: int
    values: dict[str, Float[Tensor, ""]]

    def to_floats(self) -> dict[str, float]:
        """The values as floats, which waits for the device."""
        return floats_of([self])[0]


def floats_of(reports: Sequence[StepReport]) -> list[dict[str, float]]:
    """The values of some steps as floats: they are copied together, so that it waits once."""
    tensors = [value for report in reports for value in report.values.values()]
    floats = iter(torch.stack(tensors).tolist() if tensors else [])
    return [{name: next(floats) for name in report.values} for report in reports]


def train(
    state: TrainState,
    data: Minibatches,
    objective: Objective,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    blur: Blur = Blur(),  # noqa: B008 - a frozen value
    learning_rate_end: float = 1.0,
) -> Iterator[StepReport]:
    """Train from `state.step` to `steps`, one optimiser step per iteration.

    The state is changed in place, and consistent after every iteration.

    Args:
        state: The state to train from. Training runs on the model's device.
        data: The training images.
        objective: The objective; `state.companion` must be its companion.
        steps: Total number of steps, including those done.
        batch_size: Number of images per step.
        seed: Seed of batches and noise.
        blur: How images are blurred at first.
        learning_rate_end: The share of the learning rates that is left at the end, see
            `learning_rate_share`.

    Raises:
        ValueError: If the batch is larger than the data set.
    """
    check_batch(batch_size, len(data))
    step = _Step(state, data, objective, steps, batch_size, seed, blur)
    yield from _take_steps(step, learning_rate_end)


@final
@dataclass(frozen=True)
class _Step:
    """One step of a training: a function of its images and noise, which changes the state."""

    state: TrainState
    data: Minibatches
    objective: Objective
    steps: int
    batch_size: int
    seed: int
    blur: Blur

    def images(self) -> Tensor:
        return self._minibatch(self.seed, self.batch_size)

    def generator(self, stream: NoiseStream = NoiseStream.POSTERIOR) -> torch.Generator:
        return noise_generator(self.seed, self.state.step, self.state.model.device, stream)

    def __call__(self, x: Tensor, noise: Tensor | torch.Generator) -> dict[str, Tensor]:
        """Take the step; return its loss and terms."""
        model, optimizer, companion = self.state.model, self.state.optimizer, self.state.companion
        output = model(x, noise)
        value = self.objective(
            output, step=self.state.step, n_data=len(self.data), companion=companion
        )
        learned_values = model.prior.learned_values()
        optimizer.zero_grad()
        value.loss.backward()
        optimizer.step()
        terms = {name: term.detach() for name, term in value.terms.items()}
        if companion is not None:
            generator = self.generator(NoiseStream.COMPANION)
            terms |= companion.learn(
                terms, output.z.detach(), self._fresh, self.state.step, generator
            )
        return {"loss": value.loss.detach()} | terms | learned_values

    @torch.no_grad()
    def _fresh(self, count: int) -> Tensor:
        """Posterior samples of a second batch, which leaves the run's own batches unchanged."""
        model, images = self.state.model, self._minibatch(self.seed + _SECOND_BATCH, count)
        posterior = model.encode(images).base_dist
        generator = self.generator(NoiseStream.SECOND_BATCH)
        noise = torch.randn(posterior.loc.shape, generator=generator, device=model.device)
        return posterior.loc + posterior.scale * noise

    def _minibatch(self, seed: int, count: int) -> Tensor:
        state = self.state
        x = self.data.minibatch(seed, state.step, count, device=state.model.device)
        return self.blur(x, state.step / self.steps)


def _take_steps(
    step: _Step, learning_rate_end: float, *, graphs: bool = True
) -> Iterator[StepReport]:
    """Take the remaining steps; with `graphs`, replay a recorded one where that is possible."""
    state, model, optimizer = step.state, step.state.model, step.state.optimizer
    first = _first_to_graph(step) if graphs else inf
    graphed = GraphedStep(step, model, optimizer) if first < inf else step
    if state.companion is not None:
        state.companion.network_dtype = model.network_dtype
    model.train()
    while state.step < step.steps:
        state.scale_learning_rates(learning_rate_share(state.step / step.steps, learning_rate_end))
        take = graphed if state.step >= first else step
        values = take(step.images(), step.generator())
        if state.step % _CLEAR_EVERY == 0:
            clear_tiny_moments(optimizer)
        state.step += 1
        yield StepReport(state.step, values)
        if not model.training:
            model.train()


def _first_to_graph(step: _Step) -> float:
    """The first step that may be part of a CUDA graph; infinity if none may."""
    steady = steady_from(step.objective)
    alone = step.state.companion is None and can_be_graphed(step.state.model, step.objective)
    return float(steady) if alone and steady is not None else inf


def learning_rate_share(done: float, end: float) -> float:
    """The share of the learning rates at some share of the steps.

    It is 1 in the first half, and falls to `end` along half a cosine in the second one.

    Args:
        done: The share of the steps that are done.
        end: Its value at the end, in (0, 1].

    Examples:
        >>> [round(learning_rate_share(done, end=0.2), 6) for done in (0.5, 0.75, 1.0)]
        [1.0, 0.6, 0.2]
    """
    second_half = max(0.0, 2 * done - 1)
    return end + (1 - end) * (1 + cos(pi * second_half)) / 2


@torch.no_grad()
def clear_tiny_moments(optimizer: torch.optim.Adam) -> None:
    """Set Adam's moments below 1e-30 to 0, so that they do not become denormal numbers.

    Those of weights without a gradient, such as of pixels that are black in all images, shrink
    with every step. A CPU computes with denormal numbers many times more slowly.
    """
    for state in optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            state[name].masked_fill_(state[name].abs() < _TINY, 0.0)


def check_batch(batch_size: int, n_data: int) -> None:
    """Raise a ValueError if a minibatch is larger than the data set."""
    if batch_size > n_data:
        raise ValueError(
            f"a batch must fit the data set; got batch size {batch_size} for "
            f"{counted(n_data, 'image')}: lower the batch size or take more images"
        )


def resolve_precision(precision: str, device: torch.device, batch_size: int) -> torch.dtype:
    """The networks' dtype: bfloat16 only where the CPU or GPU computes it natively, and faster.

    A CPU casts all weights in every step, which takes longer than products of few images save.

    Args:
        precision: "auto", "float32" or "bfloat16".
        device: Where the networks run.
        batch_size: Images per step.
    """
    if precision != "auto":
        return PRECISIONS[precision]
    few = device.type == "cpu" and batch_size < _FEWEST_IN_BFLOAT16
    return torch.bfloat16 if multiplies_bfloat16(device) and not few else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a CPU or GPU computes products of bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch cannot tell; float32 is right everywhere.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def resolve_device(device: str) -> torch.device:
    """The device of that name; "auto" is CUDA if present, else MPS, else the CPU.

    Raises:
        ValueError: If the device does not exist here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, present in available.items() if present))
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in available:
        raise ValueError(f"a device must be auto, cpu, cuda, cuda:N or mps; got {device!r}")
    if not available[resolved.type]:
        raise ValueError(
            f"device {device!r} must be present, but torch finds none here; use --device cpu"
        )
    return resolved
