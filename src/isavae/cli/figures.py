"""`isavae figure latents|traversals|reconstructions`: figures of one run."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from isavae.cli.evaluation import encode_with_progress
from isavae.data import load
from isavae.figures import save
from isavae.report import RunFigures
from isavae.runs import Run

Format = Literal["png", "pdf", "svg"]


def latents(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw each latent of a run against the factors: Figs. 8-16 for any factor grid.

    Args:
        run: A run directory.
        out: The file to write; by default latents.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    _draw(run, "latents", out, format)


def traversals(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw decoded sweeps along each latent of a run, the most informative latents first.

    Args:
        run: A run directory.
        out: The file to write; by default traversals.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    _draw(run, "traversals", out, format)


def reconstructions(run: Positional[Path], out: Path | None = None, format: Format = "png") -> None:
    """Draw random images of the data set beside their reconstructions.

    Args:
        run: A run directory.
        out: The file to write; by default reconstructions.FORMAT in the run directory.
        format: Png, pdf or svg.
    """
    _draw(run, "reconstructions", out, format)


def _draw(path: Path, name: str, out: Path | None, format: Format) -> None:
    run = Run.open(path)
    data = load(run.config.data)
    model, codes = encode_with_progress(run, data)
    target = out or run.path / f"{name}.{format}"
    print(save(getattr(RunFigures.of(model, data, codes), name)(), target))
