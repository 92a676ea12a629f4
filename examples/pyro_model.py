"""A Pyro model with an Lp-nested prior, fitted by stochastic variational inference."""

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch import nn

from isavae.data import load
from isavae.distributions.pyro import LpNested

data = load("dsprites16[shape=heart, orientation=0, scale=5]")
encoder = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 8))
decoder = nn.Sequential(nn.Linear(4, 128), nn.Tanh(), nn.Linear(128, 256))


def model(x):
    """Images from latents."""
    pyro.module("decoder", decoder)
    with pyro.plate("images", len(x)):
        z = pyro.sample("z", LpNested("2.1[6*2, 6*2]", validate_args=False))
        pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)


def guide(x):
    """Latents from images."""
    pyro.module("encoder", encoder)
    mean, log_std = encoder(x).chunk(2, dim=1)
    with pyro.plate("images", len(x)):
        pyro.sample("z", dist.Normal(mean, log_std.exp()).to_event(1))


pyro.set_rng_seed(0)
svi = SVI(model, guide, Adam({"lr": 3e-3}), Trace_ELBO())
for step in range(200):
    x = data.minibatch(seed=0, step=step, batch_size=64).flatten(1)
    loss = svi.step(x) / len(x)
    if step % 50 == 0:
        print(f"step {step:4}: {loss:.1f} nats")
