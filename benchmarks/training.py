"""A training step of the paper's setting against its floor: 154 GFLOP over the matrix-product rate.

    python benchmarks/training.py [--steps 7] [--precision float32]

Batch 2048, 20 latents, the paper's MLP on all of dSprites, ISA prior. The rate is measured in the
same process on the product that dominates a step, (2048 x 4096) x (4096 x 1200), so that the ratio
holds whatever the machine; floor and step alternate, so that it holds when the machine's speed
drifts.
"""

import argparse
import resource
import time
from statistics import median

import torch

from isavae.data import load
from isavae.runs import RunConfig, build_model
from isavae.training import TrainState, resolve_device, resolve_precision, train

BATCH = 2048


def product_seconds(dtype: torch.dtype, device: torch.device) -> float:
    a = torch.randn(BATCH, 4096, device=device).to(dtype)
    b = torch.randn(4096, 1200, device=device).to(dtype)
    a @ b
    start = time.perf_counter()
    for _ in range(10):
        a @ b
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / 10


def step_flop(model: torch.nn.Module) -> float:
    """Two operations a weight, image and product: three products a layer, two in the first."""
    weights = [p.numel() for p in model.parameters() if p.ndim == 2]
    return 2 * BATCH * (3 * sum(weights) - weights[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prior", default="isa")
    flags = parser.parse_args()

    device = resolve_device(flags.device)
    data = load("dsprites")
    config = RunConfig(prior=flags.prior)
    model = build_model(config, data.shape).to(device)
    model.network_dtype = resolve_precision(flags.precision, device)
    flop = step_flop(model)
    steps = train(
        TrainState(model),
        data,
        config.objective,
        steps=flags.steps + 2,
        batch_size=BATCH,
        seed=0,
    )
    for _ in range(2):  # warm up: pages, threads, optimiser state
        next(steps)
    seconds, ratios = [], []
    for _ in range(flags.steps):
        rate = 2 * BATCH * 4096 * 1200 / product_seconds(model.network_dtype, device)
        start = time.perf_counter()
        next(steps).to_floats()
        seconds.append(time.perf_counter() - start)
        ratios.append(seconds[-1] * rate / flop)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{torch.get_num_threads()} threads, {device}, {model.network_dtype}, prior {flags.prior}"
    )
    print(f"step        {median(seconds):6.3f} s for {flop / 1e9:.0f} GFLOP")
    print(f"over floor  {median(ratios):6.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"peak memory {peak:6.0f} MiB")


if __name__ == "__main__":
    main()
