"""Step times as ratios in one run: the paper's MLP, 20 latents, batch 2048 (or as given).

Prints seconds per step of every objective and prior against β-VAE with the normal prior, and of the
fast marginals against all pairs.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from isavae.distributions import MinibatchWeights, log_marginals
from isavae.models import (
    VAE,
    BernoulliLikelihood,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    Objective,
    build_networks,
    build_prior,
)
from isavae.training import TrainState, resolve_precision, train

SHAPE, LATENT = (1, 64, 64), 20


class Noise:
    """Binary images that cost nothing to fetch."""

    def __init__(self, n: int):
        self.images = (torch.rand(n, *SHAPE) < 0.1).float()

    def __len__(self) -> int:
        return 737_280

    def minibatch(self, seed, step, batch_size, device=None):
        return self.images[:batch_size]


def stepper(
    objective: Objective, layout: str, batch: int, precision: str, **learned: bool
) -> Callable[[], object]:
    torch.manual_seed(0)
    prior = build_prior(layout, LATENT, **learned)
    model = VAE(*build_networks("mlp", SHAPE, LATENT), prior, BernoulliLikelihood())
    model.network_dtype = resolve_precision(precision, torch.device("cpu"), batch)
    state = TrainState(model, companion=objective.companion(LATENT))
    steps = train(state, Noise(batch), objective, steps=10**9, batch_size=batch, seed=0)
    return lambda: next(steps)


def marginals(batch: int, exact: bool) -> Callable[[], object]:
    torch.manual_seed(0)
    mean = torch.randn(batch, LATENT) * torch.linspace(0, 1.5, LATENT)
    log_std = torch.linspace(0, -3, LATENT) + 0.3 * torch.randn(batch, LATENT)
    leaves = [x.requires_grad_() for x in (mean, log_std)]
    noise, weights = torch.randn(batch, LATENT), MinibatchWeights.weighted(batch, 737_280)

    def forward_and_backward() -> object:
        std = log_std.exp()
        value = log_marginals(mean + std * noise, mean, std, weights, exact=exact).sum()
        return torch.autograd.grad(value, leaves)

    return forward_and_backward


def seconds(subjects: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Medians of rounds in which every subject takes its turn, so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for round_ in range(rounds + 1):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="float32", choices=["auto", "float32", "bfloat16"])
    options = parser.parse_args()
    batch, precision = options.batch, options.precision
    steps = seconds(
        {
            "beta-vae, normal": stepper(BetaVAE(4.0), "normal", batch, precision),
            "beta-vae, isa": stepper(BetaVAE(4.0), "isa", batch, precision),
            "beta-vae, isa learned": stepper(
                BetaVAE(4.0), "isa", batch, precision, learn_exponents=True
            ),
            "beta-tcvae, normal": stepper(BetaTCVAE(), "normal", batch, precision),
            "factor-vae, normal": stepper(FactorVAE(), "normal", batch, precision),
        },
        options.rounds,
    )
    first = next(iter(steps.values()))
    for name, value in steps.items():
        print(f"{name:<24} {value:8.3f} s a step  {value / first:6.3f} x")
    pairs = seconds({"fast": marginals(batch, False), "pairs": marginals(batch, True)}, 3)
    print(
        f"marginals: fast {pairs['fast']:.3f} s, all pairs {pairs['pairs']:.3f} s, "
        f"{pairs['pairs'] / pairs['fast']:.1f} x"
    )


if __name__ == "__main__":
    main()
