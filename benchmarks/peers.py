"""A training step of ours against pythae's, a loop of Lightning's and disent's, in one process.

    make bench-peers

The paper's MLP (4096-1200-1200-2n with ReLU, n-1200-1200-1200-4096 with tanh), 20 latents, batch
2048, 737,280 images, Bernoulli pixels. All use torch's fused Adam and the same threads; ours runs
in float32 and in what "auto" finds, theirs in float32, their default. Steps alternate with ours, so
that drift of the machine hits all alike.

A step of pythae's is forward, loss, backward and the update, without its trainer's logs. Its
decoder ends in a sigmoid, as its cross-entropy of probabilities asks. Its BetaTCVAE uses minibatch
stratified weights by default; here it runs with weighted ones, as ours. Steps of Lightning and of
disent, which is written for it, are those of Lightning's trainer without progress bar, logger and
checkpoints, on a batch that is at hand. disent is left out where it is not installed: it needs a
torchvision of the same build as torch.
"""

import argparse
import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import lightning
import torch
from objectives import LATENT, SHAPE, Noise, seconds, stepper
from pythae.models import BetaTCVAE as TheirBetaTCVAE
from pythae.models import BetaTCVAEConfig, BetaVAEConfig
from pythae.models import BetaVAE as TheirBetaVAE
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch.nn import functional as F
from torch.utils.data import DataLoader

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


class PlainVAE(lightning.LightningModule):
    """A β-VAE as Lightning's own examples write one, with our networks."""

    def __init__(self, beta: float):
        super().__init__()
        self.encoder, self.decoder = build_networks("mlp", SHAPE, LATENT)
        self.beta = beta

    def training_step(self, x: torch.Tensor, _: int) -> torch.Tensor:
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        pixels = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1).mean()
        self.log("loss", loss := pixels + self.beta * kl)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)


def disent_vae(beta: float) -> lightning.LightningModule:
    """disent's BetaVae with our networks."""
    from disent.frameworks.vae import BetaVae as TheirDisentVae
    from disent.model import AutoEncoder, DisentDecoder, DisentEncoder

    encoder, decoder = build_networks("mlp", SHAPE, LATENT)

    class Encodes(DisentEncoder):
        def __init__(self):
            super().__init__(x_shape=SHAPE, z_size=LATENT, z_multiplier=2)
            self.network = encoder

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x)

    class Decodes(DisentDecoder):
        def __init__(self):
            super().__init__(x_shape=SHAPE, z_size=LATENT)
            self.network = decoder

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return self.network(z)

    settings = TheirDisentVae.cfg(
        optimizer="torch.optim.Adam",
        optimizer_kwargs={"lr": 1e-3, "fused": True},
        recon_loss="bce",
        loss_reduction="mean_sum",
        beta=beta,
    )
    return TheirDisentVae(AutoEncoder(Encodes(), Decodes()), settings)


class Turns(lightning.Callback):
    """Takes a step of ours after each of Lightning's, and times both."""

    def __init__(self, ours: Callable[[], object]):
        self.ours, self.times = ours, {"ours": [], "theirs": []}

    def on_train_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        ended = time.perf_counter()
        self.ours()
        self.times["theirs"].append(ended - self.began)
        self.times["ours"].append(time.perf_counter() - ended)
        self.began = time.perf_counter()


def lightning_ratio(
    module: lightning.LightningModule, batch: object, rounds: int, ours: Callable[[], object]
) -> tuple[float, float]:
    """Seconds of a step of a Lightning module, and how often ours is done meanwhile."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    turns = Turns(ours)
    trainer = lightning.Trainer(
        max_steps=rounds + 1,
        accelerator="cpu",
        callbacks=[turns],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader([batch] * (rounds + 1), batch_size=None))
    theirs, own = (median(turns.times[name][1:]) for name in ("theirs", "ours"))
    return theirs, theirs / own


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
    images = Noise(batch).images
    modules = {"Lightning": (PlainVAE(4.0), images)}
    if find_spec("disent") and find_spec("torchvision"):
        modules["disent"] = disent_vae(4.0), {"x_targ": [images]}
    for name, (module, given) in modules.items():
        for precision in ("float32", "auto"):
            ours_now = stepper(BetaVAE(4.0), "normal", batch, precision)
            taken, ratio = lightning_ratio(module, given, options.rounds, ours_now)
            print(
                f"{'beta-vae, ' + name:<24} {taken:8.3f} s a step   "
                f"{ratio:5.2f} x as long as ours in {precision}"
            )
    for objective, target in TARGETS.items():
        ratio = found[f"{objective}, pythae"] / found[f"{objective}, ours auto"]
        print(f"{objective}: {ratio:.2f} x, wanted at least {target}")


if __name__ == "__main__":
    main()
