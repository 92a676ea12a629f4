"""A training step against its floor: its own matrix products, and the bytes of Adam and images.

Every product of a step, forward and for both gradients, is timed alone in its own shape and
orientation, with operands that are in the caches ("warm") and that are not ("cold"). The floor is
the sum of the warm ones and the bytes over the bandwidth of a copy of as many. Floor and step
alternate, so that the ratio holds when the speed of the machine drifts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from statistics import median, quantiles
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from isavae.data import ImageDataset
from isavae.models import OBJECTIVES
from isavae.runs import RunConfig, build_model
from isavae.training import TrainState, resolve_precision, train

# Adam reads the parameter, its gradient and two moments, and writes all but the gradient.
FLOATS_OF_ADAM = 7
# More than the last cache of a CPU or GPU holds.
CACHE_BYTES = 1 << 27
# Steps in a row, at least, and for so many seconds: the first ones find the floor's operands in the
# caches. Products in a row on a GPU, where a single one is shorter than its launch.
STEPS, SECONDS, REPEATS = 4, 0.1, 10


@final
@dataclass(frozen=True)
class Setting:
    """Images, networks and batch of a step."""

    side: int
    width: int
    batch: int
    n_latents: int | None
    prior: str


# The training steps that are timed, by name.
SETTINGS = {
    "paper": Setting(64, 1200, 2048, None, "isa"),
    "small": Setting(32, 128, 64, 8, "normal"),
    "demo": Setting(64, 512, 128, None, "2.1[2.2*3, 2.2*3]"),
    "tiny": Setting(16, 16, 32, 4, "2.1[2.2*2, 2.2*2]"),
}


@final
@dataclass(frozen=True)
class StepTimes:
    """A step and its floor, in seconds; medians but for the quartiles of their ratio.

    Attributes:
        step: One step.
        products: Its matrix products, warm.
        cold_products: The same with operands that are in no cache.
        copies: A copy of the bytes of Adam and images.
        over_floor: Lower quartile, median and upper quartile of step / (products + copies).
        flop: Operations of the products.
        bytes: Bytes of Adam and images.
        shares: The operations that take most of a step, in percent of its time.
    """

    step: float
    products: float
    cold_products: float
    copies: float
    over_floor: tuple[float, float, float]
    flop: int
    bytes: int
    shares: dict[str, float]


def time_step(
    setting: Setting, objective: str, precision: str, device: torch.device, rounds: int = 20
) -> StepTimes:
    """Time a training step on random images, and its floor.

    Args:
        setting: Images, networks and batch.
        objective: A key of `OBJECTIVES`.
        precision: "auto", "float32" or "bfloat16".
        device: Where to train.
        rounds: Number of rounds of some steps and a floor.
    """
    state, steps = _training(setting, objective, precision, device)
    floor = Floor(state.model, setting.batch, state.model.network_dtype, device)
    for _ in range(8):  # pages, threads, the optimiser's state, the recording of a CUDA graph
        next(steps)
    floor.measure()
    count = max(STEPS, ceil(SECONDS / seconds(partial(next, steps), device, STEPS)))
    taken, floors = [], []
    for _ in range(rounds):
        next(steps)  # as in a run, a step finds in the caches what another one left
        taken.append(seconds(partial(next, steps), device, count))
        floors.append(floor.measure())
    warm, cold, copies = (median(times) for times in zip(*floors, strict=True))
    ratios = [step / (f[0] + f[2]) for step, f in zip(taken, floors, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return StepTimes(
        step=median(taken),
        products=warm,
        cold_products=cold,
        copies=copies,
        over_floor=(low, middle, high),
        flop=floor.flop,
        bytes=floor.bytes,
        shares=_shares(partial(next, steps), device),
    )


def _training(
    setting: Setting, objective: str, precision: str, device: torch.device
) -> tuple[TrainState, Any]:
    """A state and its steps, without end."""
    data = _images(setting.side)
    config = RunConfig(
        prior=setting.prior,
        n_latents=setting.n_latents,
        width=setting.width,
        objective=OBJECTIVES[objective](),
    )
    model = build_model(config, data.shape).to(device)
    model.network_dtype = resolve_precision(precision, device, setting.batch)
    state = TrainState(model, companion=config.objective.companion(model.prior.n_latents))
    steps = train(state, data, config.objective, steps=10**9, batch_size=setting.batch, seed=0)
    return state, steps


def _images(side: int, count: int = 100_000) -> ImageDataset:
    packed = np.random.default_rng(0).integers(0, 256, (count, side * side // 8), np.uint8)
    return ImageDataset.from_stored("noise", packed, (1, side, side))


@final
class Floor:
    """The products and bytes of one step of a model of linear layers."""

    def __init__(self, model: nn.Module, batch: int, dtype: torch.dtype, device: torch.device):
        self.device = device
        self.products: list[Callable[[], Tensor]] = []
        layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
        self.flop = 0
        for k, layer in enumerate(layers):
            n_out, n_in = layer.weight.shape
            x, y, weight = (
                torch.randn(*shape, device=device).to(dtype)
                for shape in ((batch, n_in), (batch, n_out), (n_out, n_in))
            )
            bias = torch.randn(n_out, device=device).to(dtype)
            self.products.append(lambda x=x, w=weight, b=bias: torch.addmm(b, x, w.T))
            self.products.append(lambda x=x, y=y: y.T @ x)
            if k:  # images need no gradient
                self.products.append(lambda y=y, w=weight: y @ w)
            self.flop += (6 if k else 4) * batch * n_in * n_out
        parameters = sum(p.numel() for p in model.parameters())
        pixels = batch * layers[0].weight.shape[1] * torch.tensor([], dtype=dtype).itemsize
        self.bytes = 4 * FLOATS_OF_ADAM * parameters + pixels
        self._copied = torch.ones(self.bytes // 8, device=device)  # read once and written once
        self._target = torch.empty_like(self._copied)
        self._elsewhere = torch.ones(CACHE_BYTES // 4, device=device)

    @torch.no_grad()
    def measure(self) -> tuple[float, float, float]:
        """Seconds of the warm products, of the cold ones, and of the bytes."""
        return (
            sum(self._warm(product) for product in self.products),
            sum(self._cold(product) for product in self.products),
            self._warm(lambda: self._target.copy_(self._copied)),
        )

    def _warm(self, work: Callable[[], Any]) -> float:
        repeats = 1 if self.device.type == "cpu" else REPEATS
        return min(seconds(work, self.device, repeats) for _ in range(3))

    def _cold(self, work: Callable[[], Any]) -> float:
        self._elsewhere.add_(1)
        return seconds(work, self.device)


def seconds(work: Callable[[], Any], device: torch.device, repeats: int = 1) -> float:
    """Seconds of one of some repetitions, by the device's own clock on CUDA."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        if device.type == "mps":
            torch.mps.synchronize()
        return (time.perf_counter() - start) / repeats
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / repeats


def _shares(step: Callable[[], Any], device: torch.device, count: int = 8) -> dict[str, float]:
    """The operations that take most of a step, in percent of its time."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities, acc_events=True) as profiler:
        for _ in range(STEPS):
            step()
        if on_gpu:
            torch.cuda.synchronize(device)
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    # On a GPU its kernels only: the operations that launch them would be counted twice.
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    events = [event for event in profiler.key_averages() if event.device_type == kind]
    if on_gpu:  # a span from the first to the last kernel of an optimiser
        events = [event for event in events if "#" not in event.key]
    times = {event.key: getattr(event, name) for event in events}
    total = sum(times.values()) or 1
    largest = sorted(times.items(), key=lambda entry: -entry[1])[:count]
    return {key: round(100 * used / total, 1) for key, used in largest}
