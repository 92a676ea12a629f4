"""`isavae figure latents`, `traversals` and `reconstructions`: figures of a run."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from isavae.cli.step_progress import StepProgress
from isavae.figures import save
from isavae.report import RunFigures

Format = Literal["png", "pdf", "svg"]


def latents(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw the mean of each latent of a run over the factors: Figs. 8-16 for any factor grid.

    Args:
        run: A run directory.
        out: The file to write; by default latents.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    print(save(_open(run).latents(), out or run / f"latents.{format}"))


def traversals(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw decoded traversals of each latent of a run, the most informative latents first.

    Args:
        run: A run directory.
        out: The file to write; by default traversals.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    print(save(_open(run).traversals(), out or run / f"traversals.{format}"))


def reconstructions(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw random images of the data set beside their reconstructions.

    Args:
        run: A run directory.
        out: The file to write; by default reconstructions.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    print(save(_open(run).reconstructions(), out or run / f"reconstructions.{format}"))


def _open(run: Path) -> RunFigures:
    with StepProgress("encoding") as progress:
        return RunFigures.open(run, most=None, device="auto", on_progress=progress)
