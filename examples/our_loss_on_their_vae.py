"""An objective and a prior of isavae on a VAE of your own, which knows nothing of isavae."""

import torch
from torch import nn
from torch.distributions import Independent, Normal

from isavae.data import load
from isavae.models import BetaVAE, VAEOutput, build_prior


class TheirVAE(nn.Module):
    """Some VAE: images to a posterior, a draw of it to a distribution over images."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 8))
        self.decode = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 256))

    def forward(self, x):
        mean, log_std = self.encode(x).chunk(2, dim=1)
        q = Independent(Normal(mean, log_std.exp()), 1)
        z = q.rsample()
        return q, z, Independent(Normal(self.decode(z).view_as(x), 0.2), 3)


torch.manual_seed(0)
data = load("dsprites16[shape=heart, orientation=0, scale=5]")
theirs, prior, objective = TheirVAE(), build_prior("2.1[2.2*2, 2.2*2]"), BetaVAE(beta=2.0)
optimizer = torch.optim.Adam(theirs.parameters(), lr=3e-3)
for step in range(300):
    x = data.minibatch(seed=0, step=step, batch_size=64)
    q, z, p = theirs(x)
    value = objective(VAEOutput(x, z, q, prior(), p), step=step, n_data=len(data))
    optimizer.zero_grad()
    value.loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(
            f"step {step:4}:", {name: round(term.item(), 1) for name, term in value.terms.items()}
        )
