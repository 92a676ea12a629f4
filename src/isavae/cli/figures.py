"""`isavae figure ...`: pictures of a run."""

from pathlib import Path
from typing import Literal

import torch
from matplotlib.figure import Figure
from tyro.conf import Positional

from isavae.cli.evaluation import encode_with_progress
from isavae.data import ImageDataset, load
from isavae.evaluation import decode_traversals, reconstruct
from isavae.figures import latent_sheet, save
from isavae.figures import reconstructions as reconstructions_figure
from isavae.figures import traversals as traversals_figure
from isavae.metrics import Codes, mig
from isavae.models import VAE
from isavae.runs import Run

Format = Literal["png", "pdf", "svg"]


def latents(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw what each latent of a run follows: Figs. 8-16 for any factor grid.

    Args:
        run: a run directory.
        out: the file to write; by default latents.FORMAT in the run directory.
        format: png, pdf or svg.
    """
    _draw(run, "latents", out, format)


def traversals(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw decoded sweeps along each latent of a run, the most informed latents first.

    Args:
        run: a run directory.
        out: the file to write; by default traversals.FORMAT in the run directory.
        format: png, pdf or svg.
    """
    _draw(run, "traversals", out, format)


def reconstructions(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw random images of the data set beside their reconstructions.

    Args:
        run: a run directory.
        out: the file to write; by default reconstructions.FORMAT in the run directory.
        format: png, pdf or svg.
    """
    _draw(run, "reconstructions", out, format)


def _draw(path: Path, name: str, out: Path | None, format: Format) -> None:
    run = Run.open(path)
    data = load(run.config.data)
    model, codes = encode_with_progress(run, data)
    target = out or run.path / f"{name}.{format}"
    save(FIGURES[name](model, data, codes), target)
    print(target)


def latents_of(model: VAE, data: ImageDataset, codes: Codes) -> Figure:
    """The latent sheet of a model on its data set."""
    information = mig(codes).information
    assert information is not None  # mig always has one
    return latent_sheet(codes, information, model.prior.subspaces)


def traversals_of(model: VAE, data: ImageDataset, codes: Codes, rows: int = 10) -> Figure:
    """Traversals through the code nearest to the middle, over two standard deviations of the codes.

    The latents whose mean codes vary most come first.
    """
    spread = codes.mean.std(0)
    order = spread.argsort(descending=True)[:rows].tolist()
    middle = (codes.mean - codes.mean.mean(0)).square().sum(1).argmin()
    reach = max(round(2 * spread.max().item(), 1), 0.1)
    values = torch.linspace(-reach, reach, 11)
    images = decode_traversals(model, codes.mean[middle], order, values)
    return traversals_figure(images, values, order, model.prior.subspaces)


def reconstructions_of(model: VAE, data: ImageDataset, codes: Codes, n: int = 16) -> Figure:
    """A seeded random sample of images, and their reconstructions below them."""
    images = data.sample(0, n).batch(range(n))
    return reconstructions_figure(images, reconstruct(model, images))


FIGURES = {
    "latents": latents_of,
    "traversals": traversals_of,
    "reconstructions": reconstructions_of,
}
