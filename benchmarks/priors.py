"""Which prior lines latents up at the same reconstruction? Hundreds of VAEs at once, on a GPU.

    python benchmarks/priors.py OUT.csv [--sets sprites-32 heads-32] [--seeds 10] [--steps N]

The recipe of `isavae fit` (its network, blur, calibrated pixels, learning rate, and objective: the
KL with its total correlation five times) on the images of `axes.py`, for every prior and β. All
models of a set are trained together, as one model whose weights have one more dimension, and the
seed of a model decides its weights, batches and noise only along with all others: another selection
gives other models of the same distribution. `--total-correlation 1` leaves the KL as it is.

One line per model: R² of held-out images, latents in use, MIG of binned means; nothing of these for
a model that has diverged.
"""

import argparse
import csv
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from axes_images import SETS, Images, images_of
from torch import Tensor
from torch.nn.functional import silu

from isavae.blur import Blur
from isavae.distributions import LpNested
from isavae.fitting.proposal import BLUR
from isavae.metrics import Codes, binned_mig, informative
from isavae.training import learning_rate_share

WIDTH, BATCH, LATENTS, RATE, RATE_END = 256, 64, 10, 1e-3, 0.05
# Exponent between the five subspaces of two latents, and exponent within.
PRIORS = ((2.0, 2.0), (2.1, 2.2), (3.0, 3.0), (4.0, 4.0), (6.0, 6.0), (10.0, 10.0), (10.0, 2.0))
BETAS = (4.0, 8.0, 16.0, 32.0, 64.0)
# Steps between two blurs of the images, whose width hardly changes in between.
BLUR_EVERY = 10


@dataclass(frozen=True)
class Kind:
    """What one model differs in."""

    p0: float
    p: float
    beta: float
    seed: int

    @property
    def prior(self) -> LpNested:
        return LpNested.standardised(f"{self.p0:g}[{', '.join([f'{self.p:g}*2'] * 5)}]")


class Stacked:
    """As many VAEs as there are kinds: every tensor's first dimension is the model."""

    def __init__(self, kinds: list[Kind], values: int, device: torch.device):
        def layer(n_in: int, n_out: int) -> list[Tensor]:
            """Weights and biases as `torch.nn.Linear` draws them."""
            bound = n_in**-0.5
            shapes = ((len(kinds), n_in, n_out), (len(kinds), 1, n_out))
            return [torch.empty(s, device=device).uniform_(-bound, bound) for s in shapes]

        def column(numbers: list[float]) -> Tensor:
            return torch.tensor(numbers, device=device)[:, None, None]

        self.encoder = [layer(values, WIDTH), layer(WIDTH, WIDTH), layer(WIDTH, 2 * LATENTS)]
        self.decoder = [layer(LATENTS, WIDTH), layer(WIDTH, WIDTH), layer(WIDTH, WIDTH)]
        self.decoder.append(layer(WIDTH, values))
        priors = [kind.prior for kind in kinds]
        self.p0, self.p = column([k.p0 for k in kinds]), column([k.p for k in kinds])
        self.scale = column([float(prior.scale) for prior in priors])
        at_zero = [float(prior.log_prob(torch.zeros(LATENTS))) for prior in priors]
        self.log_density_at_zero = column(at_zero)[..., 0]

    @property
    def parameters(self) -> list[Tensor]:
        return [tensor for layer in self.encoder + self.decoder for tensor in layer]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = _mlp(x, self.encoder).chunk(2, -1)
        return mean, log_std

    def decode(self, z: Tensor) -> Tensor:
        return _mlp(z, self.decoder)

    def log_prior(self, z: Tensor) -> Tensor:
        """Log p(z) of Eq. 11 for a tree of two levels: its value at 0 less f(z)^p0 / s."""
        logs = z.abs().clamp(min=1e-12).log()
        within = (self.p * logs).exp().unflatten(-1, (-1, 2)).sum(-1)
        f = (self.p0 / self.p * within.log()).exp().sum(-1)
        return self.log_density_at_zero - f / self.scale[..., 0]


def _mlp(hidden: Tensor, layers: list[list[Tensor]]) -> Tensor:
    *first, last = layers
    for weight, bias in first:
        hidden = silu(torch.baddbmm(bias, hidden, weight))
    weight, bias = last
    return torch.baddbmm(bias, hidden, weight)


def total_correlation(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """E log q(z) - Σ_j log q(z_j) of a batch, up to a constant, by minibatch-weighted sampling."""
    scaled = (z.unsqueeze(2) - mean.unsqueeze(1)) * (-log_std).exp().unsqueeze(1)
    logs = -0.5 * scaled.square() - log_std.unsqueeze(1)
    return (logs.sum(-1).logsumexp(2) - logs.logsumexp(2).sum(-1)).mean(1)


def losses(model: Stacked, x: Tensor, beta: Tensor, weight: float) -> Tensor:
    """The loss of every model on its own batch of images, (models, batch, values)."""
    mean, log_std = model.encode(x)
    z = mean + log_std.exp() * torch.randn_like(mean)
    squares = (x - model.decode(z)).square().sum(-1)
    variance = squares.detach().mean(1, keepdim=True) / x.shape[-1]
    reconstruction = -0.5 * (squares / variance + x.shape[-1] * variance.log())
    kl = -log_std.sum(-1) - model.log_prior(z)
    penalty = (weight - 1) * total_correlation(z, mean, log_std)
    return beta * (kl.mean(1) + penalty) - reconstruction.mean(1)


def trained(images: Images, kinds: list[Kind], steps: int, weight: float) -> Stacked:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pixels = images.train.to(device)
    model = Stacked(kinds, pixels[0].numel(), device)
    for tensor in model.parameters:
        tensor.requires_grad_()
    optimizer = torch.optim.Adam(model.parameters, lr=RATE, fused=True)
    beta = torch.tensor([kind.beta for kind in kinds], device=device)
    blur = Blur(max(pixels.shape[2:]) * BLUR)
    for step in range(steps):
        if step % BLUR_EVERY == 0:
            rows = blur(pixels, step / steps).flatten(1)
        batch = rows[torch.randint(len(rows), (len(kinds), BATCH), device=device)]
        optimizer.param_groups[0]["lr"] = RATE * learning_rate_share(step / steps, RATE_END)
        optimizer.zero_grad()
        losses(model, batch, beta, weight).sum().backward()
        optimizer.step()
    return model


@torch.no_grad()
def measured(model: Stacked, images: Images, kinds: list[Kind]) -> list[dict[str, object]]:
    """One row per model."""
    device, held = model.p.device, images.held_out.flatten(1)
    spread = (held - images.train.flatten(1).mean(0)).square().sum().item()

    def same_for_all(x: Tensor) -> Tensor:
        return x.to(device).expand(len(kinds), -1, -1)

    blocks = [model.encode(same_for_all(x)) for x in images.all.flatten(1).split(250)]
    mean, log_std = (torch.cat(part, 1).cpu() for part in zip(*blocks, strict=True))
    error = torch.zeros(len(kinds), device=device)
    for x in held.split(250):
        block = same_for_all(x)
        error += (model.decode(model.encode(block)[0]) - block).square().sum((1, 2))

    def row(number: int) -> dict[str, object]:
        found: dict[str, object] = {**vars(kinds[number])}
        if not mean[number].isfinite().all():  # it has diverged
            return found | {"r2": None, "latents": None, "mig": None}
        codes = Codes(mean[number], log_std[number], images.grid)
        return found | {
            "r2": round(1 - error[number].item() / spread, 4),
            "latents": int(informative(codes).sum()),
            "mig": round(binned_mig(codes).value, 4),
        }

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(row, range(len(kinds))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=("sprites-32", "heads-32"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--total-correlation", type=float, nargs="+", default=(5.0, 1.0))
    args = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    rows = []
    for name, weight in itertools.product(args.sets, args.total_correlation):
        kinds = [
            Kind(*prior, beta, seed)
            for prior, beta, seed in itertools.product(PRIORS, BETAS, range(args.seeds))
        ]
        torch.manual_seed(0)
        images, started = images_of(name, 0), time.monotonic()
        model = trained(images, kinds, args.steps, weight)
        found = measured(model, images, kinds)
        rows += [{"set": name, "total_correlation": weight, "steps": args.steps} | r for r in found]
        print(f"{name}: {len(kinds)} models in {time.monotonic() - started:.0f} s", flush=True)
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
