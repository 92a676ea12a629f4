"""Figures of one run, from its run directory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from matplotlib.figure import Figure

from isavae.data import ImageDataset
from isavae.data.pixel_statistics import MAX_IMAGES
from isavae.data.tiles import to_bytes
from isavae.evaluation import Progress, decode_traversals, encode_all, reconstruct, sample_prior
from isavae.explained import Explained, explained
from isavae.figures import (
    PositionPlane,
    image_rows,
    information_matrix,
    latent_sheet,
    position_plane,
    reconstructions,
    save,
    traversal_tiles,
)
from isavae.metrics import (
    Codes,
    Information,
    exact_information,
    informative,
    latent_information,
    median_row,
    mig,
    nearest_along,
)
from isavae.models import VAE
from isavae.runs import Run, names_of, run_images
from isavae.runs.build import prior_of
from isavae.runs.moved_images import images_name
from isavae.training import resolve_device

# Figures use at most this many images, a seeded random sample of the data set.
MOST_IMAGES = 50_000


def save_information(run: Run, codes: Codes) -> Path:
    """Draw the mutual information of latents and factors as `information.png` of a run."""
    subspaces = prior_of(run.config).subspaces
    figure = information_matrix(exact_information(codes), subspaces, names_of(run.path))
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
        names: The names of the latents; by number if left out.
    """

    model: VAE
    data: ImageDataset
    codes: Codes
    information: Information | None
    names: Sequence[str] = ()

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
        return cls.of(model, data, encode_all(model, data, on_progress), names_of(run.path))

    @classmethod
    def open_each(
        cls, paths: Iterable[str | os.PathLike[str]], data: ImageDataset | None = None
    ) -> Iterator["RunFigures"]:
        """Open one run after the other; images that neighbours share are drawn or read once.

        Args:
            paths: The run directories.
            data: Images for all of them; those that each was trained on if left out.
        """
        name, images = None, data
        for path in paths:
            run = Run.open(Path(path))
            if data is None and images_name(run) != name:
                name, images = images_name(run), run_images(run)
            yield cls.open(path, data=images)

    @classmethod
    def of(
        cls, model: VAE, data: ImageDataset, codes: Codes, names: Sequence[str] = ()
    ) -> "RunFigures":
        """The figures of a model with the codes of a data set, in its order.

        Args:
            model: The model.
            data: The images.
            codes: Their codes, and factors where they are known.
            names: Names of the latents; by default z1, z2, ...
        """
        known = codes.grid is not None and max(codes.grid.sizes) > 1
        return cls(model, data, codes, mig(codes).information if known else None, names)

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
        return latent_sheet(
            self.codes, self.information, self.model.prior.subspaces, rows, self.names
        )

    def traversals(self, rows: int = 10, steps: int = 11) -> Figure:
        """Traversals through the code nearest to the middle, over two standard deviations of codes.

        The latents come in the order of the sheet; without known factors, those first whose mean
        codes vary most.

        Args:
            rows: The largest number of latents.
            steps: Images per latent.
        """
        mean = self.codes.mean
        rank = mean.std(0) if self.information is None else self.information.mutual.sum(1)
        order = rank.argsort(descending=True, stable=True)[:rows].tolist()
        middle = mean[(mean - mean.mean(0)).square().sum(1).argmin()]
        reach = max(round(2 * mean.std(0).max().item(), 1), 0.1)
        values = torch.linspace(-reach, reach, steps)
        images = self.data.shown(decode_traversals(self.model, middle, order, values))
        subspaces = self.model.prior.subspaces
        return traversal_tiles(images, values, order, subspaces, names=self.names)

    def nearest(self, rows: int = 10, steps: int = 9) -> Figure:
        """The real images nearest along each latent in use, from its 2 % to its 98 % quantile.

        The latents that carry most information about the image come first.

        Args:
            rows: The largest number of latents.
            steps: Images per latent.
        """
        mean = self.codes.mean
        nats = latent_information(self.codes)
        used = nats.argsort(descending=True, stable=True)[: int(informative(self.codes).sum())]
        middle, tiles = mean[median_row(mean)], []
        for latent in (shown := used[:rows].tolist()):
            low, high = mean[:, latent].quantile(mean.new_tensor([0.02, 0.98])).tolist()
            values = torch.linspace(low, high, steps)
            tiles.append(
                self.data.batch(nearest_along(mean, latent, middle, values, used.tolist()))
            )
        subspaces = self.model.prior.subspaces
        images = self.data.shown(torch.stack(tiles))
        return image_rows(images, shown, subspaces, self.names)

    def explained(self) -> Explained:
        """The share of the variance between images that the model explains, beside PCA's."""
        some = self.data.sample(min(MAX_IMAGES, len(self.data)))
        used = int(informative(self.codes).sum())
        return explained(self.model, to_bytes(some.batch(slice(None))), used)

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
        return position_plane(self.codes, self.information, prior, self.names)
