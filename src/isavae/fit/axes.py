"""The latents in use: information about the image, and agreement between seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import e, log, pi
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.distributions.mixtures.entropies import marginal_entropies
from isavae.metrics import Codes
from isavae.metrics.unsupervised import spearman

# Nats: below it, a latent is not in use.
LEAST_INFORMATION = 0.05
# The largest ratio of spread to std; the entropies take twice that.
FINEST = 2**18
STABLE, PARTLY = 0.8, 0.6
Verdict = Literal["stable", "partly stable", "not stable"]


@final
@dataclass(frozen=True)
class Axis:
    """One latent in use.

    Attributes:
        latent: The index of the latent.
        subspace: The index of its subspace.
        information: I(x; z_j), the information about the image, in nats.
        agreement: The best |rank correlation| with a latent of another seed, as the median over
            the other seeds; 1 if every seed finds this axis, about 0 if none does.
    """

    latent: int
    subspace: int
    information: float
    agreement: float

    @property
    def name(self) -> str:
        """Subspace and latent, both counted from 1: "s2_z5"."""
        return axis_name(self.subspace, self.latent)

    @property
    def verdict(self) -> Verdict:
        """The agreement in words."""
        shown = round(self.agreement, 2)  # as it is printed
        if shown >= STABLE:
            return "stable"
        return "partly stable" if shown >= PARTLY else "not stable"


def axis_name(subspace: int, latent: int) -> str:
    """The name of a latent in tables.

    Examples:
        >>> axis_name(1, 4)
        's2_z5'
    """
    return f"s{subspace + 1}_z{latent + 1}"


def with_minimum_std(codes: Codes) -> Codes:
    """The codes with no std below 4e-6 of its latent's spread, as exact entropies need.

    An image unlike all others can be coded a million times finer than they are. The minimum adds
    noise to the channel, so that its information can only decrease.
    """
    assert codes.log_std is not None  # codes of a VAE
    std = codes.log_std.double().exp()
    spread = codes.mean.double().amax(0) - codes.mean.double().amin(0) + 14 * std.amax(0)
    return replace(codes, log_std=torch.maximum(std, spread / FINEST).log().to(codes.mean.dtype))


def information(codes: Codes) -> Float[Tensor, "latents"]:
    """I(x; z_j) = H(z_j) - H(z_j|x) of every latent, in nats, whatever the prior."""
    assert codes.log_std is not None  # codes of a VAE
    noise = codes.log_std.double().mean(0) + 0.5 * log(2 * pi * e)
    return marginal_entropies(codes.mean, codes.log_std) - noise


def axes_of(codes: Codes, others: Sequence[Codes], subspaces: Sequence[slice]) -> list[Axis]:
    """The latents in use, by subspace; the most informative subspaces and latents come first.

    Args:
        codes: The codes of the model.
        others: Codes of the same images by models of the same β from other seeds.
        subspaces: The subspaces of the prior.
    """
    nats = information(codes).tolist()
    best = [spearman(codes.mean, other.mean).amax(1).numpy() for other in others]
    agreement = np.median(best, axis=0)
    found = [
        [
            Axis(j, k, nats[j], float(agreement[j]))
            for j in range(subspace.start, subspace.stop)
            if nats[j] > LEAST_INFORMATION
        ]
        for k, subspace in enumerate(subspaces)
    ]
    found.sort(key=lambda group: -sum(axis.information for axis in group))
    return [axis for group in found for axis in sorted(group, key=lambda axis: -axis.information)]
