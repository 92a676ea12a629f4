"""`isavae name-axes`: names of a model's latents."""

from pathlib import Path

from tyro.conf import Positional

from isavae.cli.flag_kinds import Several
from isavae.cli.terminal import say
from isavae.fitting import write_again
from isavae.runs import name_latents, names_of
from isavae.runs.moved_images import is_fitted
from isavae.runs.names_file import are_names_written


def name_axes(model: Positional[Path], names: Positional[Several[str]] = ()) -> None:
    """Give names to latents of a model, such as z3=slant, or show those that they have.

    They are kept beside the model and stand in figures, tables of codes, reports and the explorer
    instead of z3. Of a folder of `isavae fit` the report and the tables are written again, also
    where names that were given in the explorer are not in them yet.

    Args:
        model: A run, a model file, or a folder of `isavae fit`.
        names: Latents and their names, z3=slant z5="stroke width"; z3= takes a name away.
    """
    if not names:
        _show(names_of(model))
        if is_fitted(model) and not are_names_written(model):
            _write_again(model)
        return
    given = {}
    for each in names:
        latent, is_one, name = each.partition("=")
        if not is_one or latent in given:
            why = "is given twice" if is_one else "is none"
            raise ValueError(f"a name must be given once, as z3=slant; {each!r} {why}")
        given[latent] = name
    _show(name_latents(model, given))
    if is_fitted(model):
        _write_again(model)


def _write_again(folder: Path) -> None:
    write_again(folder)
    say(f"{folder / 'report.html'}, codes.csv and codes.parquet have these names")


def _show(names: list[str]) -> None:
    for number, name in enumerate(names, 1):
        say(f"z{number}" if name == f"z{number}" else f"z{number}: {name}")
