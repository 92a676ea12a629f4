"""Choose a model without labels: by agreement across seeds (UDR), then by reconstruction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import final

from isavae.data import ImageDataset
from isavae.evaluation import encode_all
from isavae.metrics import Codes, informative, udr_ranking
from isavae.runs import Run
from isavae.studies import StudyDirectory

MAX_IMAGES = 10_000


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
        udr: Agreement with the other seeds of the same β, 0 to 1.
    """

    run: Run
    codes: Codes
    used: int
    reconstruction: float
    kl: float
    udr: float = 0.0

    @property
    def beta(self) -> float:
        return self.run.config.settings()["objective"]["beta"]

    @property
    def seed(self) -> int:
        return self.run.config.seed


def candidates(directory: StudyDirectory, data: ImageDataset) -> list[Candidate]:
    """The finished runs of a study, sorted by β.

    Runs whose β has no second finished seed are left out: agreement takes two.
    """
    some = data if len(data) <= MAX_IMAGES else data.sample(MAX_IMAGES)
    done = [run.id for run in directory.study().runs if directory.is_done(run.id)]
    found = [_candidate(directory.run_path(run), some) for run in done]
    found.sort(key=attrgetter("beta"))
    ranked: list[Candidate] = []
    for _, group in groupby(found, attrgetter("beta")):
        peers = [*group]
        if len(peers) > 1:
            scores = udr_ranking([peer.codes for peer in peers], rule="spearman")
            ranked += [replace(p, udr=s.value) for p, s in zip(peers, scores, strict=True)]
    return ranked


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


def choose(found: Sequence[Candidate]) -> Candidate:
    """The candidate with the highest UDR, and among equals the best reconstruction.

    UDR is compared to two decimals; with a coarser comparison, reconstruction decides more often,
    and it prefers models with many entangled latents (docs/practitioner.md). Models with a single
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
    return max(usable, key=lambda candidate: (round(candidate.udr, 2), candidate.reconstruction))


def peers_of(chosen: Candidate, found: Sequence[Candidate]) -> list[Codes]:
    """Codes of the other seeds with the same β."""
    return [c.codes for c in found if c.beta == chosen.beta and c is not chosen]
