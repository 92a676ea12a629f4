"""A training step against its floor: its own matrix products, and the bytes of Adam and images.

    python benchmarks/training.py [paper small demo] [--precision float32] [--rounds 20]

Every product of a step, forward and for both gradients, is timed alone in its own shape and
orientation, with operands that are in the caches ("warm") and that are not ("cold"). The floor is
the sum of the warm ones and the bytes over the bandwidth of a copy of as many. Floor and step
alternate, so that the ratio holds when the speed of the machine drifts. The last lines tell where
the time goes, by torch's profiler.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from isavae.data import ImageDataset
from isavae.models import OBJECTIVES
from isavae.runs import RunConfig, build_model
from isavae.training import TrainState, resolve_device, resolve_precision, train

# Adam reads the parameter, its gradient and two moments, and writes all but the gradient.
FLOATS_OF_ADAM = 7
# More than the last cache of a CPU holds.
CACHE_BYTES = 1 << 27


@dataclass(frozen=True)
class Setting:
    """Images, networks and batch of a step."""

    side: int
    width: int
    batch: int
    n_latents: int | None
    prior: str


SETTINGS = {
    "paper": Setting(64, 1200, 2048, None, "isa"),
    "small": Setting(32, 128, 64, 8, "normal"),
    "demo": Setting(64, 512, 128, None, "2.1[2.2*3, 2.2*3]"),
}


def images(side: int, count: int = 100_000) -> ImageDataset:
    packed = np.random.default_rng(0).integers(0, 256, (count, side * side // 8), np.uint8)
    return ImageDataset("noise", packed, (1, side, side))


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
            sum(min(self._seconds(product) for _ in range(3)) for product in self.products),
            sum(self._seconds(product, cold=True) for product in self.products),
            min(self._seconds(lambda: self._target.copy_(self._copied)) for _ in range(3)),
        )

    def _seconds(self, work: Callable[[], Any], cold: bool = False) -> float:
        if cold:
            self._elsewhere.add_(1)
        return seconds(work, self.device)


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    _wait_for(device)
    start = time.perf_counter()
    work()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def shares(step: Callable[[], Any], count: int = 8) -> str:
    """The operations that take most of a step, in percent of its time."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(4):
            step()
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return ", ".join(f"{e.key} {100 * e.self_cpu_time_total / total:.0f}" for e in events[:count])


def measure(name: str, flags: argparse.Namespace) -> None:
    setting, device = SETTINGS[name], resolve_device(flags.device)
    data = images(setting.side)
    config = RunConfig(
        prior=setting.prior,
        n_latents=setting.n_latents,
        width=setting.width,
        objective=OBJECTIVES[flags.objective](),
    )
    model = build_model(config, data.shape).to(device)
    model.network_dtype = resolve_precision(flags.precision, device)
    state = TrainState(model, adversary=config.objective.adversary(model.prior.n_latents))
    steps = train(state, data, config.objective, steps=10**9, batch_size=setting.batch, seed=0)
    floor = Floor(model, setting.batch, model.network_dtype, device)
    for _ in range(3):  # pages, threads, the optimiser's state
        next(steps)
    floor.measure()
    taken, floors = [], []
    for _ in range(flags.rounds):
        next(steps)  # as in a run, a step finds in the caches what another one left
        taken.append(sum(seconds(lambda: next(steps), device) for _ in range(4)) / 4)
        floors.append(floor.measure())
    warm, cold, of_bytes = (median(times) for times in zip(*floors, strict=True))
    ratios = [step / (f[0] + f[2]) for step, f in zip(taken, floors, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    print(
        f"{name}: {torch.get_num_threads()} threads, {device}, {model.network_dtype}, "
        f"batch {setting.batch}, prior {setting.prior}, {flags.objective}\n"
        f"  step        {1e3 * median(taken):8.2f} ms\n"
        f"  products    {1e3 * warm:8.2f} ms warm, {1e3 * cold:.2f} ms cold, "
        f"{floor.flop / warm / 1e9:.0f} GFLOP/s\n"
        f"  bytes       {1e3 * of_bytes:8.2f} ms, {floor.bytes / of_bytes / 1e9:.1f} GB/s\n"
        f"  over floor  {middle:8.3f} ({low:.3f} to {high:.3f})\n"
        f"  in percent  {shares(lambda: next(steps))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--rounds", type=int, default=20, help="of four steps and a floor")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--objective", default="beta-vae", choices=OBJECTIVES)
    flags = parser.parse_args()
    for name in flags.settings:
        measure(name, flags)


if __name__ == "__main__":
    main()
