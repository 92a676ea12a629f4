"""`isavae data ...`."""

from pathlib import Path

from tyro.conf import Positional


def list_() -> None:
    """List the data sets: size, factors, licence, and what is present."""
    from isavae.data.catalog import listing

    print(listing())


def draw(name: Positional[str]) -> None:
    """Draw a data set into the cache, with its progress; does nothing if it is there.

    Args:
        name: a data set that is drawn here, such as dsprites.
    """
    from isavae.data import load

    print(load(name))


def download(name: Positional[str]) -> None:
    """Fetch the published files of a data set, check them, and import them.

    Args:
        name: a published data set, such as shapes3d.
    """
    from isavae.data import download

    print(download(name))


def import_(name: Positional[str], path: Positional[Path], unchecked: bool = False) -> None:
    """Import the published file of a data set, or the folder of its files.

    Args:
        name: a published data set, such as shapes3d.
        path: the file or folder.
        unchecked: accept files whose hash is not that of the published ones.
    """
    from isavae.data import import_official

    print(import_official(name, path, checked=not unchecked))


def verify(name: Positional[str], path: Positional[Path]) -> None:
    """Compare a published file, pixel by pixel, with the same images drawn here.

    Args:
        name: dsprites, the only data set that is drawn as it was published.
        path: the .npz or .hdf5 file.
    """
    from isavae.data import verify_dsprites

    if name != "dsprites":
        raise ValueError(
            f"only dsprites is drawn here as it was published, so the name must be dsprites, not "
            f"{name!r}"
        )
    print(verify_dsprites(path))


def inspect(path: Positional[Path], options: str = "", sheet: Path | None = None) -> None:
    """Show what a folder or file of your own images holds, and how it would be used.

    Args:
        path: the folder, or the .npy, .npz or .h5 file.
        options: how to read it, as in brackets after a path: "size=64, fit=crop".
        sheet: where to save a picture of many of the images.
    """
    from isavae.data.image_statistics import inspect

    print(inspect(path, options, sheet))
