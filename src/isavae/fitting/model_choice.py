"""Choose a model without labels: by the axes that seeds share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import fmean, median
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
from isavae.evaluation import encode_all
from isavae.fitting.axes import agreements, is_stable
from isavae.metrics import (
    Codes,
    informative,
    latent_mutual_information,
    partner_correlations,
)
from isavae.runs import Run
from isavae.studies import StudyDirectory

MAX_IMAGES = 10_000
# Axes by which seeds of two β may share more or fewer and count as equal.
NEARLY = 0.05
# Bins of a latent whose dependence on another is measured.
BINS = 12


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A finished run and its scores.

    Attributes:
        run: The run.
        codes: The codes of up to 10,000 images, the same for all candidates.
        used: The number of latents in use.
        reconstruction: E_q log p(x|z), nats.
        kl: KL(q(z|x) || p(z)), nats.
        stable: The number of latents that most of the other seeds of the same β find.
        agreement: |Rank correlation| with those of other seeds, the mean over the stable latents.
        dependence: Mutual information of two stable latents, the mean over pairs, in nats.
    """

    run: Run
    codes: Codes
    used: int
    reconstruction: float
    kl: float
    stable: int = 0
    agreement: float = 0.0
    dependence: float = 0.0

    @property
    def shared(self) -> float:
        """The stable latents, each counted as much as seeds agree on it."""
        return self.stable * self.agreement

    @property
    def beta(self) -> float:
        """The weight of the KL, see `Proposal.study`."""
        objective = self.run.config.settings()["objective"]
        return objective.get("gamma", objective["beta"])

    @property
    def seed(self) -> int:
        """The seed of its run."""
        return self.run.config.seed


def candidates(directory: StudyDirectory, data: ImageDataset) -> list[Candidate]:
    """The finished runs of a study, sorted by β.

    Runs whose β has no second finished seed are left out: agreement takes two.

    Args:
        directory: The study.
        data: The images on which its models are compared.
    """
    some = data if len(data) <= MAX_IMAGES else data.sample(MAX_IMAGES)
    done = [run.id for run in directory.study().runs if directory.is_done(run.id)]
    found = [_candidate(directory.run_path(run), some) for run in done]
    found.sort(key=attrgetter("beta"))
    groups = [[*group] for _, group in groupby(found, attrgetter("beta"))]
    return [_compared(one, group) for group in groups if len(group) > 1 for one in group]


def _candidate(path: Path, data: ImageDataset) -> Candidate:
    run = Run.open(path)
    codes = encode_all(run.load_model(), data)
    scores = run.scores() or {}
    return Candidate(
        run,
        codes,
        used=int(informative(codes).sum()),
        reconstruction=scores["reconstruction"]["value"],
        kl=scores["kl"]["value"],
    )


def _compared(one: Candidate, group: Sequence[Candidate]) -> Candidate:
    """The candidate with its agreement with the other seeds of its β."""
    others = [other.codes for other in group if other is not one]
    matched = np.array([partner_correlations(one.codes, other) for other in others])
    agreement = agreements(matched)
    stable = is_stable(agreement)
    return replace(
        one,
        stable=int(stable.sum()),
        agreement=float(agreement[stable].mean()) if stable.any() else 0.0,
        dependence=_dependence(one.codes.mean[:, torch.from_numpy(stable)]),
    )


def _dependence(means: Float[Tensor, "n latents"]) -> float:
    """The mean mutual information of two latents, each in bins of equally many images."""
    if means.shape[1] < 2:
        return 0.0
    ranks = means.argsort(0).argsort(0).double()
    return latent_mutual_information(Codes(ranks, None), BINS).value


def choose(found: Sequence[Candidate]) -> Candidate:
    """The seed that shares the most axes with the others, at the β where seeds share the most.

    That is the median of `stable` over seeds; equals are compared by the mean of `shared`, and
    nearly equals by how little their stable latents depend on each other. Models with a single
    latent in use are passed over if others use more: one latent agrees with its counterpart by
    itself.

    Raises:
        ValueError: If there is no candidate, or none has a latent in use.
    """
    most = max((candidate.used for candidate in found), default=0)
    if not most:
        raise ValueError(
            "A latent must be in use, but no model has learned anything yet: give a longer "
            "--budget or a smaller --beta."
        )
    usable = [candidate for candidate in found if candidate.used >= min(2, most)]
    usable.sort(key=attrgetter("beta"))
    groups = [[*group] for _, group in groupby(usable, attrgetter("beta"))]
    most = max(map(_median_stable, groups))
    groups = [group for group in groups if _median_stable(group) == most]
    enough = max(map(_mean_shared, groups)) - NEARLY
    best = min(
        (group for group in groups if _mean_shared(group) >= enough),
        key=lambda group: median(c.dependence for c in group),
    )
    return max(best, key=attrgetter("stable", "agreement"))


def _median_stable(group: Sequence[Candidate]) -> float:
    return float(median(candidate.stable for candidate in group))


def _mean_shared(group: Sequence[Candidate]) -> float:
    return fmean(candidate.shared for candidate in group)


def peers_of(chosen: Candidate, found: Sequence[Candidate]) -> list[Codes]:
    """Codes of the other seeds with the same β."""
    return [c.codes for c in found if c.beta == chosen.beta and c is not chosen]
