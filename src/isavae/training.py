"""The training loop: a generator that takes one optimiser step an iteration.

Batches and noise are functions of (seed, step), so a run that resumes from a `TrainState` repeats
the interrupted one bit for bit, and whatever the caller does between two steps cannot change it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from isavae.models import VAE, Adversary, NoAdversary, Objective, noise_generator

# Distance of the seed of second batches from the run's own.
_SECOND_BATCH = 1 << 31


@runtime_checkable
class Minibatches(Protocol):
    """What the loop asks of a data set; `isavae.data.ImageDataset` is one."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def minibatch(
        self, seed: int, step: int, batch_size: int, device: torch.device | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        """The images of that step: a pure function of (seed, step, batch_size)."""
        ...


@final
@dataclass
class TrainState:
    """Everything a run needs to go on: the model, the optimiser, and the number of steps done.

    Attributes:
        model: what is trained.
        learning_rate: learning rate of Adam.
        prior_learning_rate: learning rate of what the prior learns.
        adversary: the objective's, `objective.adversary(n_latents)`, with an optimiser of its own.
        step: number of steps done.
    """

    model: VAE
    learning_rate: float = 1e-3
    prior_learning_rate: float = 5e-4
    adversary: Adversary = field(default_factory=NoAdversary)
    step: int = 0
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self):
        device = next(self.model.parameters()).device
        self.adversary.to(device)
        of_prior = list(self.model.prior.parameters())
        others = [p for n, p in self.model.named_parameters() if not n.startswith("prior.")]
        groups: list[dict[str, Any]] = [{"params": others}]
        if of_prior:
            groups.append({"params": of_prior, "lr": self.prior_learning_rate})
        fused = device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(groups, lr=self.learning_rate, fused=fused)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only, so that it loads with `weights_only=True`."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversary": self.adversary.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.adversary.load_state_dict(state["adversary"])
        self.step = state["step"]


@final
@dataclass(frozen=True)
class StepReport:
    """What one step did: its number (from 1) and the loss and terms, still on the device."""

    step: int
    values: dict[str, Float[Tensor, ""]]

    def to_floats(self) -> dict[str, float]:
        """The values as floats; waits for the device."""
        return {name: value.item() for name, value in self.values.items()}


def train(
    state: TrainState,
    data: Minibatches,
    objective: Objective,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> Iterator[StepReport]:
    """Train from `state.step` to `steps`, one optimiser step an iteration.

    The state is changed in place and consistent whenever the generator has yielded.

    Args:
        state: model, optimiser and step; the model's device is where the work is done.
        data: where minibatches come from.
        objective: what is minimised; `state.adversary` must be its own.
        steps: total number of steps, those already done included.
        batch_size: images per step.
        seed: of batches and posterior noise.

    Raises:
        ValueError: if the batch is larger than the data set.
    """
    check_batch(batch_size, len(data))
    model, optimizer, adversary = state.model, state.optimizer, state.adversary
    device = next(model.parameters()).device
    model.train()

    @torch.no_grad()
    def fresh(count: int) -> Tensor:
        """Posterior samples of a second batch, which no batch of the run depends on."""
        x = data.minibatch(seed + _SECOND_BATCH, state.step, count, device=device)
        posterior = model.encode(x).base_dist
        generator = noise_generator(seed, state.step, device, stream=2)
        noise = torch.randn(posterior.loc.shape, generator=generator, device=device)
        return posterior.loc + posterior.scale * noise

    while state.step < steps:
        x = data.minibatch(seed, state.step, batch_size, device=device)
        output = model(x, noise_generator(seed, state.step, device))
        value = objective(output, step=state.step, n_data=len(data), adversary=adversary)
        learned_values = model.prior.learned_values()
        optimizer.zero_grad()
        value.loss.backward()
        optimizer.step()
        generator = noise_generator(seed, state.step, device, stream=3)
        learned = adversary.learn(output.z.detach(), fresh, state.step, generator)
        state.step += 1
        terms = _detached(value.terms) | learned | learned_values
        yield StepReport(state.step, {"loss": value.loss.detach()} | terms)
        model.train()


def check_batch(batch_size: int, n_data: int) -> None:
    """Raise a ValueError if a minibatch is larger than the data set."""
    if batch_size > n_data:
        raise ValueError(
            f"a batch must fit the data set; got batch size {batch_size} for {n_data} images: "
            "lower the batch size or take more images"
        )


def _detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in terms.items()}


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The networks' dtype: bfloat16 only where the processor or GPU computes it natively.

    Args:
        precision: "auto", "float32" or "bfloat16".
        device: where the networks run.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    native = {
        "cuda": lambda: torch.cuda.is_bf16_supported(including_emulation=False),
        "cpu": _cpu_multiplies_bfloat16,
    }
    return torch.bfloat16 if native.get(device.type, lambda: False)() else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    # Older torch has no public question for this: unknown is no, as float32 is right everywhere.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def resolve_device(device: str) -> torch.device:
    """The device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ValueError: if the device does not exist here.
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
