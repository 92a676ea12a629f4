"""`isavae figure ...`, `isavae toy ...` and `isavae study report`."""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from isavae.cli.flag_kinds import Optionally, Several
from isavae.cli.step_progress import StepProgress
from isavae.cli.terminal import complain, say
from isavae.data import load
from isavae.figures import save
from isavae.report import (
    FIGURES,
    OF_IMAGES,
    RunFigures,
    factor_analysis_toy,
    ica_toy,
    paper_figures,
    write_report,
)

Format = Literal["png", "pdf", "svg"]


def latents(
    run: Positional[Path],
    out: Optionally[Path] = None,
    format: Format = "png",
    data: Optionally[str] = None,
) -> None:
    """Draw the mean of each latent of a run over the factors: Figs. 8-16 for any factor grid.

    Args:
        run: A run directory.
        out: The file to write; by default latents.FORMAT in the run directory.
        format: The format: png, pdf or svg.
        data: A data set instead of the one that the run was trained on, such as moved images.
    """
    say(save(_open(run, data).latents(), out or run / f"latents.{format}"))


def traversals(
    run: Positional[Path],
    out: Optionally[Path] = None,
    format: Format = "png",
    data: Optionally[str] = None,
) -> None:
    """Draw decoded traversals of each latent of a run, the most informative latents first.

    Args:
        run: A run directory.
        out: The file to write; by default traversals.FORMAT in the run directory.
        format: The format: png, pdf or svg.
        data: A data set instead of the one that the run was trained on, such as moved images.
    """
    say(save(_open(run, data).traversals(), out or run / f"traversals.{format}"))


def reconstructions(
    run: Positional[Path],
    out: Optionally[Path] = None,
    format: Format = "png",
    data: Optionally[str] = None,
) -> None:
    """Draw random images of the data set beside their reconstructions.

    Args:
        run: A run directory.
        out: The file to write; by default reconstructions.FORMAT in the run directory.
        format: The format: png, pdf or svg.
        data: A data set instead of the one that the run was trained on, such as moved images.
    """
    say(save(_open(run, data).reconstructions(), out or run / f"reconstructions.{format}"))


def _open(run: Path, data: str | None) -> RunFigures:
    images = None if data is None else load(data)
    with StepProgress("encoding") as progress:
        return RunFigures.open(run, most=None, device="auto", on_progress=progress, data=images)


def figure(
    number: Positional[str],
    sources: Positional[Several[Path]] = (),
    out: Path = Path("figures"),
    format: Format = "png",
    data: Optionally[str] = None,
) -> None:
    """Draw a figure of the paper by its number: 1-4, 5a-c, 6-16, or all.

    For a run there are also `isavae figure latents`, `traversals` and `reconstructions`.

    Args:
        number: 1 (ICA toy), 2 (iso-contours) and 4 (tree) need nothing else; 3 takes runs, or a
            study for one run of each prior; 5a, 5b, 5c, 6 and 7 a study; 8 to 16 a study or a run.
            "all" draws what the sources allow.
        sources: A study directory, or run directories.
        out: The folder to write to.
        format: The format: png, pdf or svg.
        data: For 3 and 8 to 16, a data set instead of the one that the runs were trained on, such
            as moved images.
    """
    if near := get_close_matches(number, ("latents", "traversals", "reconstructions")):
        raise ValueError(f"the paper has no figure {number!r}; did you mean figure {near[0]}?")
    images = None if data is None else load(data)
    for each in FIGURES if number == "all" else [number]:
        shown = images if number != "all" or each in OF_IMAGES else None
        try:
            for name, drawn in paper_figures(each, *sources, data=shown):
                say(save(drawn, out / f"{name}.{format}"))
        except ValueError as error:
            if number != "all":
                raise
            complain(f"figure {each} is left out: {error}")


def fa(out: Path = Path("figures"), format: Format = "png") -> None:
    """Draw the factor analysis panels of Appendix B.3 to B.5: the bias of the free energy, exactly.

    Args:
        out: The folder to write to.
        format: The format: png, pdf or svg.
    """
    for name, drawn in factor_analysis_toy():
        say(save(drawn, out / f"{name}.{format}"))


def ica(n: int = 1000, seed: int = 0, out: Path = Path("figures"), format: Format = "png") -> None:
    """Learn over-complete ICA by variational inference, and draw Fig. 1.

    Args:
        n: Data points.
        seed: Seed of the data.
        out: The folder to write to.
        format: The format: png, pdf or svg.
    """
    say(save(ica_toy(n, seed), out / f"ica.{format}"))


def report(
    study: Positional[Path],
    out: Optionally[Path] = None,
    figures: Literal["auto", "chosen", "all", "none"] = "auto",
) -> None:
    """Write a report on a study as one HTML page without external files.

    Args:
        study: A study directory, or a folder of run directories.
        out: The file; by default report.html in the study directory.
        figures: Which runs are drawn: chosen ones, all or none; auto draws all of up to 12.
    """
    say(write_report(study, out, figures))
