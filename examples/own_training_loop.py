"""An Lp-nested prior in a training loop of your own: plain torch, only the prior is of isavae."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

from isavae.data import load
from isavae.distributions import LpNested

data = load("dsprites16[shape=heart, orientation=0, scale=5]")
prior = LpNested.standardised("2.1[6*2, 6*2]")  # two subspaces of two latents, unit variance
encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 8))
decoder = nn.Sequential(nn.Linear(4, 128), nn.Tanh(), nn.Linear(128, 256))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)

torch.manual_seed(0)
for step in range(300):
    x = data.minibatch(seed=0, step=step, batch_size=64)
    mean, log_std = encoder(x).chunk(2, dim=1)
    posterior = Independent(Normal(mean, log_std.exp()), 1)
    z = posterior.rsample()
    reconstruction = Bernoulli(logits=decoder(z)).log_prob(x.flatten(1)).sum(1)
    loss = (posterior.log_prob(z) - prior.log_prob(z) - reconstruction).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:4}: {loss:.1f} nats")
