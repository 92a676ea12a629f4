"""`isavae data ...`."""

from pathlib import Path

from tyro.conf import Positional

from isavae import data
from isavae.cli.flag_kinds import Optionally
from isavae.cli.terminal import say
from isavae.data import catalog, image_statistics
from isavae.runs import RunConfig, check_memory


def list_() -> None:
    """List the data sets: size, factors, licence, and what is present."""
    say(catalog.listing())


def draw(name: Positional[str]) -> None:
    """Draw a data set into the cache and show the progress; does nothing if it is there.

    Args:
        name: A data set that is drawn here, such as dsprites.
    """
    say(data.load(name))


def download(name: Positional[str]) -> None:
    """Fetch the published files of a data set, check them, and import them.

    Args:
        name: A published data set, such as shapes3d.
    """
    say(data.download(name))


def import_(name: Positional[str], path: Positional[Path], unchecked: bool = False) -> None:
    """Import the published file of a data set, or the folder of its files.

    Args:
        name: A published data set, such as shapes3d.
        path: The file or folder.
        unchecked: Accept files whose hash is not that of the published ones.
    """
    say(data.import_official(name, path, checked=not unchecked))


def verify(name: Positional[str], path: Positional[Path]) -> None:
    """Compare a published file, pixel by pixel, with the same images drawn here.

    Args:
        name: Must be dsprites, the only data set that is drawn as it was published.
        path: The .npz or .hdf5 file.
    """
    if name != "dsprites":
        raise ValueError(
            f"The name must be dsprites, the only data set that is drawn as it was published, but "
            f"is {name!r}."
        )
    say(data.verify_dsprites(path))


def inspect(path: Positional[Path], options: str = "", sheet: Optionally[Path] = None) -> int:
    """Show statistics of a folder or file of your own images, and how they would be used.

    The exit code is 2 if they cannot be used, with the reason as the last line.

    Args:
        path: The folder, or the .npy, .npz or .h5 file.
        options: How to read it, as in brackets after a path: "size=64, fit=crop".
        sheet: Where to save a contact sheet, as PNG.
    """
    statistics = image_statistics.inspect(path, options, sheet)
    say(statistics)
    if statistics.dataset is not None:
        if sheet is not None:
            say(f"  a sheet of them: {sheet}")
        try:
            check_memory(RunConfig(batch_size=1), statistics.dataset.shape)
        except ValueError as refusal:
            say(f"  {refusal}")
    return 2 if statistics.dataset is None else 0
