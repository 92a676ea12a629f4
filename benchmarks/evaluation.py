"""Encoding and reconstructing images with the paper's MLP against their matrix products.

    python benchmarks/evaluation.py [--images 32768] [--rounds 7] [--whole]

The networks are untrained, which changes no time, and run in float32, as `isavae evaluate` runs
them. The floor is the products of the layers for as many images, each batch in its own shape, and
is measured in turn with what it is the floor of. `--whole` evaluates all of dSprites once, as
`isavae evaluate` does without other scores than its own.
"""

import argparse
import time
from collections.abc import Callable
from statistics import quantiles

import torch
from torch import nn

from isavae.data import load
from isavae.evaluation import BATCH, encode_all, evaluate, likelihood_terms
from isavae.runs import RunConfig, build_model


def products(networks: nn.Module, batches: int) -> Callable[[], None]:
    """The products of some batches through all linear layers of some networks."""
    layers = [layer for layer in networks.modules() if isinstance(layer, nn.Linear)]
    inputs = [torch.randn(BATCH, layer.in_features) for layer in layers]

    @torch.no_grad()
    def multiply() -> None:
        for _ in range(batches):
            for layer, x in zip(layers, inputs, strict=True):
                layer(x)

    return multiply


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8 * BATCH)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    data = load("dsprites")
    model = build_model(RunConfig(prior="isa"), data.shape)
    some, batches = data.sample(options.images, seed=0), options.images // BATCH
    subjects = {
        "encoding": (lambda: encode_all(model, some), products(model.encoder, batches)),
        "reconstruction": (lambda: likelihood_terms(model, some), products(model, batches)),
    }
    for name, (work, floor) in subjects.items():
        work()
        pairs = [(seconds(work), seconds(floor)) for _ in range(options.rounds)]
        low, middle, high = quantiles([taken / least for taken, least in pairs], n=4)
        each = sorted(taken for taken, _ in pairs)[len(pairs) // 2] / (batches * BATCH)
        print(
            f"{name:15} {1e6 * each:6.1f} µs an image, {len(data) * each:6.1f} s for all, "
            f"{middle:.2f} times its products ({low:.2f} to {high:.2f})"
        )
    if options.whole:
        print(f"evaluation of {len(data):,} images: {seconds(lambda: evaluate(model, data)):.1f} s")


if __name__ == "__main__":
    main()
