"""How much each latent says about the pictures, and how far to trust it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch

from isavae.metrics import MIN_INFORMATION, Codes, latent_information, spearman

FINEST = 2**18  # spread over std; the entropies take twice that
STABLE, PARTLY = 0.8, 0.6
Verdict = Literal["stable", "partly stable", "not stable"]


@final
@dataclass(frozen=True)
class Axis:
    """One latent in use.

    Attributes:
        latent: its position, from 0.
        subspace: its subspace's position, from 0.
        information: I(x; z_j), what it says about a picture, in nats.
        agreement: the median over the other seeds of its best |rank correlation| with any of their
            latents; 1 if every seed finds this axis, about 0 if none does.
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
        """How far to trust it, in words."""
        shown = round(self.agreement, 2)  # what people read beside the word
        if shown >= STABLE:
            return "stable"
        return "partly stable" if shown >= PARTLY else "not stable"


def axis_name(subspace: int, latent: int) -> str:
    """A latent's name in tables.

    >>> axis_name(1, 4)
    's2_z5'
    """
    return f"s{subspace + 1}_z{latent + 1}"


def with_minimum_std(codes: Codes) -> Codes:
    """The codes with no std below 4e-6 of its latent's spread, as exact entropies need.

    A picture unlike all others can be coded a million times finer than they are. The channel
    becomes noisier by this, so that its information can only become less.
    """
    assert codes.log_std is not None  # ours are posteriors
    std = codes.log_std.double().exp()
    spread = codes.mean.double().amax(0) - codes.mean.double().amin(0) + 14 * std.amax(0)
    log_std = torch.maximum(std, spread / FINEST).log().to(codes.mean.dtype)
    return Codes(codes.mean, log_std, codes.grid)


def axes_of(codes: Codes, others: Sequence[Codes], subspaces: Sequence[slice]) -> list[Axis]:
    """The latents in use: subspaces by what they say in all, latents within by what each says.

    Args:
        codes: of the model.
        others: of the same pictures, by the same model from other seeds.
        subspaces: of its prior.
    """
    said = latent_information(codes).tolist()
    best = [spearman(codes.mean, other.mean).amax(1).numpy() for other in others]
    agreement = np.median(best, axis=0)
    found = [
        [
            Axis(j, k, said[j], float(agreement[j]))
            for j in range(subspace.start, subspace.stop)
            if said[j] > MIN_INFORMATION
        ]
        for k, subspace in enumerate(subspaces)
    ]
    found.sort(key=lambda group: -sum(axis.information for axis in group))
    return [axis for group in found for axis in sorted(group, key=lambda axis: -axis.information)]
