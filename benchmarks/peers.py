"""A training step of ours against pythae's, same networks, batch and optimiser, in one process.

    make bench-peers

The paper's MLP (4096-1200-1200-2n with ReLU, n-1200-1200-1200-4096 with tanh), 20 latents, batch
2048, 737,280 images, Bernoulli pixels. A step of theirs is forward, loss, backward and the update,
without their trainer's logs; both use torch's fused Adam and the same threads. Theirs runs in
float32 as published; the decoder ends in a sigmoid, as its cross-entropy of probabilities asks.
Their BetaTCVAE uses minibatch stratified weights by default; here it runs with weighted ones, as
ours. Steps alternate, so that drift of the machine hits all alike.
"""

import argparse
from collections.abc import Callable

import torch
from objectives import LATENT, SHAPE, Noise, seconds, stepper
from pythae.models import BetaTCVAE as TheirBetaTCVAE
from pythae.models import BetaTCVAEConfig, BetaVAEConfig
from pythae.models import BetaVAE as TheirBetaVAE
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder

from isavae.models import BetaTCVAE, BetaVAE, build_networks

TARGETS = {"beta-vae": 2.2, "beta-tcvae": 6.0}


class Encoder(BaseEncoder):
    """Our encoder with their output."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> ModelOutput:
        mean, log_covariance = self.network(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_covariance)


class Decoder(BaseDecoder):
    """Our decoder with their output."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.network(z).sigmoid())


def their_stepper(model: type, config: type, batch: int, **settings: float) -> Callable[[], None]:
    torch.manual_seed(0)
    encoder, decoder = build_networks("mlp", SHAPE, LATENT)
    options = config(SHAPE, LATENT, reconstruction_loss="bce", **settings)
    vae = model(options, Encoder(encoder), Decoder(decoder))
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)
    data = Noise(batch)

    def step() -> None:
        optimizer.zero_grad()
        vae({"data": data.images}, dataset_size=len(data)).loss.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    batch = options.batch
    ours = {"beta-vae": BetaVAE(4.0), "beta-tcvae": BetaTCVAE(6.0)}
    subjects = {
        f"{name}, ours {precision}": stepper(objective, "normal", batch, precision)
        for name, objective in ours.items()
        for precision in ("float32", "auto")
    }
    subjects["beta-vae, pythae"] = their_stepper(TheirBetaVAE, BetaVAEConfig, batch, beta=4.0)
    subjects["beta-tcvae, pythae"] = their_stepper(
        TheirBetaTCVAE, BetaTCVAEConfig, batch, beta=6.0, use_mss=False
    )
    found = seconds(subjects, options.rounds)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, batch {batch}")
    for name, value in found.items():
        objective = name.split(",")[0]
        ratio = found[f"{objective}, pythae"] / value
        print(f"{name:<24} {value:8.3f} s a step   pythae takes {ratio:5.2f} x as long")
    for objective, target in TARGETS.items():
        ratio = found[f"{objective}, pythae"] / found[f"{objective}, ours auto"]
        print(f"{objective}: {ratio:.2f} x, wanted at least {target}")


if __name__ == "__main__":
    main()
