"""`isavae data ...`."""

from tyro.conf import Positional

from isavae.data import DATASETS, load


def draw(name: Positional[str]) -> None:
    """Draw a data set into the cache, with its progress; does nothing if it is there.

    Args:
        name: a data set that is drawn here, such as dsprites.
    """
    print(load(name))


def list_() -> None:
    """List the data sets."""
    for name, source in DATASETS.items():
        print(f"{name:<16} {len(source.grid):>9,} images  {source.about}")
