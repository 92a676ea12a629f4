"""The latents in use: information about the image, and agreement between seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float

from isavae.metrics import MIN_INFORMATION, Codes, latent_information, partner_correlations

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
        agreement: |Rank correlation| with the latent of another seed that it is matched with, one
            to one, as the (lower) median over the other seeds; 1 if every seed finds this axis, 0
            if none.
        found_by: In how many other seeds that correlation is that of a stable axis.
        seeds: The number of other seeds.
    """

    latent: int
    subspace: int
    information: float
    agreement: float
    found_by: int
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Stable from an agreement of 0.8, partly stable from 0.6, otherwise not."""
        shown = round(self.agreement, 2)  # as it is printed
        if shown >= STABLE:
            return "stable"
        return "partly stable" if shown >= PARTLY else "not stable"


def agreements(
    matched: Float[np.ndarray, "others latents"],
) -> Float[np.ndarray, "latents"]:
    """The correlation of each latent with its partner that most of the other seeds reach.

    That is the median over them, the lower one of two middle values.

    Args:
        matched: `partner_correlations` with each of the other seeds.
    """
    return np.quantile(matched, 0.5, axis=0, method="lower")


def is_stable(correlation: Float[np.ndarray, "*any"]) -> Bool[np.ndarray, "*any"]:
    """Whether a correlation, as it is printed, is that of a stable axis."""
    return correlation.round(2) >= STABLE


def axes_of(codes: Codes, others: Sequence[Codes], subspaces: Sequence[slice]) -> list[Axis]:
    """The latents in use, by subspace; the most informative subspaces and latents come first.

    Args:
        codes: The codes of the model.
        others: Codes of the same images by models of the same β from other seeds.
        subspaces: The subspaces of the prior.
    """
    nats = latent_information(codes).tolist()
    matched = np.array([partner_correlations(codes, other) for other in others])
    agreement = agreements(matched)
    found_by = is_stable(matched).sum(0)
    found = [
        [
            Axis(j, k, nats[j], float(agreement[j]), int(found_by[j]), len(others))
            for j in range(subspace.start, subspace.stop)
            if nats[j] > MIN_INFORMATION
        ]
        for k, subspace in enumerate(subspaces)
    ]
    found.sort(key=lambda group: -sum(axis.information for axis in group))
    return [axis for group in found for axis in sorted(group, key=lambda axis: -axis.information)]
