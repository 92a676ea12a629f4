"""Iso-contours of a prior on the plane of two latents (the curves of Fig. 2), for any prior."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

# Nats below the mode: one, two and three standard deviations of a normal distribution.
DROPS = (0.5, 2.0, 4.5)
_DOUBLINGS, _HALVINGS = 60, 50


def iso_contours(
    prior: Distribution, x: int, y: int, drops: Sequence[float] = DROPS, angles: int = 120
) -> Float[Tensor, "levels angles"]:
    """Distance from the origin, per angle, at which log p falls `drop` nats below log p(0).

    The plane goes through the origin: the other latents are 0. The density must fall along every
    ray, as all Lp-nested densities of Eq. 11 do; then a level set is one closed curve.

    Args:
        prior: The distribution p(z) over n latents.
        x: The latent at angle 0.
        y: The latent at angle π/2.
        drops: Levels, in nats below the mode.
        angles: Number of equally spaced directions in [0, 2π).

    >>> from isavae.distributions import LpNested
    >>> iso_contours(LpNested("2*2", scale=2), 0, 1, drops=[0.5, 2.0], angles=4).round(decimals=3)
    tensor([[1., 1., 1., 1.],
            [2., 2., 2., 2.]])
    """
    theta = torch.arange(angles) * (2 * math.pi / angles)
    directions = torch.zeros(angles, prior.event_shape[0])
    directions[:, x], directions[:, y] = theta.cos(), theta.sin()
    floor = prior.log_prob(torch.zeros_like(directions[0])) - torch.tensor(drops)[:, None]

    def outside(radius: Tensor) -> Tensor:
        return prior.log_prob(radius.unsqueeze(-1) * directions) < floor

    high = torch.ones(len(drops), angles)
    for _ in range(_DOUBLINGS):
        still_inside = ~outside(high)
        if not still_inside.any():
            break
        high = torch.where(still_inside, 2 * high, high)
    low = torch.zeros_like(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_outside = outside(middle)
        low, high = torch.where(is_outside, low, middle), torch.where(is_outside, middle, high)
    return high
