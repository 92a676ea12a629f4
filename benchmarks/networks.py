"""The memory layout of the convolutional networks: channels last against channels first.

    python benchmarks/networks.py [--rounds 5]

Seconds of a β-VAE step with the published networks on 64x64 images at batch 256, one step of each
layout in turn, so that both meet the same machine. Ratios above 1 speak for channels last.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from isavae.models import VAE, BernoulliLikelihood, BetaVAE, build_networks, build_prior
from isavae.training import TrainState, train

SIDE, LATENT = 64, 10
# channels of the images, images in a batch, precision of the networks
CASES = [
    (1, 256, torch.float32),
    (3, 256, torch.float32),
    (1, 256, torch.bfloat16),
    (3, 256, torch.bfloat16),
]


class Noise:
    """Images that cost nothing to fetch."""

    def __init__(self, n: int, channels: int, layout: torch.memory_format):
        self.images = torch.rand(n, channels, SIDE, SIDE).to(memory_format=layout)

    def __len__(self) -> int:
        return len(self.images)

    def minibatch(self, seed, step, batch_size, device=None):
        return self.images[:batch_size]


def stepper(
    channels: int, batch: int, dtype: torch.dtype, layout: torch.memory_format
) -> Callable[[], object]:
    """Steps of a VAE whose weights and images have that layout."""
    torch.manual_seed(0)
    # For a power of two nothing is padded or cropped: the layers alone are the whole network.
    networks = [net.layers for net in build_networks("conv", (channels, SIDE, SIDE), LATENT)]
    model = VAE(*networks, build_prior("normal", LATENT), BernoulliLikelihood())
    model.to(memory_format=layout).network_dtype = dtype
    data = Noise(batch, channels, layout)
    steps = train(TrainState(model), data, BetaVAE(), steps=10**9, batch_size=batch, seed=0)
    return lambda: next(steps).to_floats()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{torch.get_num_threads()} threads")
    for channels, batch, dtype in CASES:
        layouts = {"last": torch.channels_last, "first": torch.contiguous_format}
        step = {name: stepper(channels, batch, dtype, value) for name, value in layouts.items()}
        times: dict[str, list[float]] = {name: [] for name in layouts}
        for round_ in range(rounds + 1):
            for name, values in times.items():
                start = time.perf_counter()
                step[name]()
                if round_:  # the first one warms up
                    values.append(time.perf_counter() - start)
        ratios = [first / last for first, last in zip(times["first"], times["last"], strict=True)]
        print(
            f"{channels} x {SIDE} x {SIDE}, batch {batch}, {dtype}: channels last "
            f"{median(times['last']):.3f} s, first {median(times['first']):.3f} s, "
            f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
