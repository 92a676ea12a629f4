"""Figures of one run, from its run directory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from matplotlib.figure import Figure

from isavae.data import ImageDataset
from isavae.evaluation import Progress, decode_traversals, encode_all, reconstruct, sample_prior
from isavae.figures import (
    PositionPlane,
    information_matrix,
    latent_sheet,
    position_plane,
    reconstructions,
    save,
    traversal_tiles,
)
from isavae.metrics import Codes, Information, exact_information, mig
from isavae.models import VAE
from isavae.runs import Run, run_images
from isavae.training import resolve_device

# Figures use at most this many images, a seeded random sample of the data set.
MOST_IMAGES = 50_000


def save_information(run: Run, codes: Codes) -> Path:
    """Draw the mutual information of latents and factors as `information.png` of a run."""
    figure = information_matrix(exact_information(codes), run.load_model().prior.subspaces)
    return save(figure, run.path / "information.png")


@final
@dataclass(frozen=True, eq=False)
class RunFigures:
    """A run's model with codes of its data set, ready to be drawn.

    Args:
        model: The trained model.
        data: The images that were encoded.
        codes: Their codes.
        information: I(z_j; v_k) of the codes; None if no factor is known.
    """

    model: VAE
    data: ImageDataset
    codes: Codes
    information: Information | None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        most: int | None = MOST_IMAGES,
        device: str = "cpu",
        on_progress: Progress | None = None,
        data: ImageDataset | None = None,
    ) -> "RunFigures":
        """Encode the data set of a run directory.

        Args:
            path: The run directory.
            most: At most this many images, a seeded random sample; None takes all.
            device: The device: auto, cpu, cuda, cuda:N or mps.
            on_progress: Called with (images done, images in all).
            data: The images; loaded by the name in the run if left out.
        """
        run = Run.open(Path(path))
        data = run_images(run, data)
        if most is not None and len(data) > most:
            data = data.sample(most)
        model = run.load_model(resolve_device(device))
        return cls.of(model, data, encode_all(model, data, on_progress))

    @classmethod
    def of(cls, model: VAE, data: ImageDataset, codes: Codes) -> "RunFigures":
        """The figures of a model with the codes of a data set, in its order."""
        known = codes.grid is not None and max(codes.grid.sizes) > 1
        return cls(model, data, codes, mig(codes).information if known else None)

    def all(self) -> Iterator[tuple[str, Figure]]:
        """The figures that can be drawn, by name."""
        if self.information is not None:
            yield "latents", self.latents()
        yield "traversals", self.traversals()
        yield "reconstructions", self.reconstructions()

    def latents(self, rows: int = 10) -> Figure:
        """The latent sheet, Figs. 8-16.

        Raises:
            ValueError: No factor of the data set is known.
        """
        if self.information is None:
            raise ValueError(
                f"a latent sheet needs known factors, but {self.data.name} has none; "
                "look at the traversals instead"
            )
        return latent_sheet(self.codes, self.information, self.model.prior.subspaces, rows)

    def traversals(self, rows: int = 10, steps: int = 11) -> Figure:
        """Traversals through the code nearest to the middle, over two standard deviations of codes.

        The latents come in the order of the sheet; without known factors, those first whose mean
        codes vary most.
        """
        mean = self.codes.mean
        rank = mean.std(0) if self.information is None else self.information.mutual.sum(1)
        order = rank.argsort(descending=True, stable=True)[:rows].tolist()
        middle = (mean - mean.mean(0)).square().sum(1).argmin()
        reach = max(round(2 * mean.std(0).max().item(), 1), 0.1)
        values = torch.linspace(-reach, reach, steps)
        images = self.data.shown(decode_traversals(self.model, mean[middle], order, values))
        return traversal_tiles(images, values, order, self.model.prior.subspaces)

    def reconstructions(self, n: int = 16) -> Figure:
        """A seeded random sample of images, and their reconstructions below them."""
        images = self.data.sample(min(n, len(self.data))).batch(slice(None))
        decoded = reconstruct(self.model, images)
        return reconstructions(self.data.shown(images), self.data.shown(decoded))

    def plane(self, draws: int = 4000) -> PositionPlane:
        """The two latents of position, for Fig. 3.

        Raises:
            ValueError: No two ordered factors of the data set are known.
        """
        if self.information is None:
            raise ValueError(f"a plane of positions needs known factors; {self.data.name} has none")
        prior = sample_prior(self.model, draws).cpu()
        return position_plane(self.codes, self.information, prior)
