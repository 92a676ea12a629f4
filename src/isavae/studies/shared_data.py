"""Data sets drawn once per machine, however many processes open them at the same time."""

import hashlib

import isavae
from isavae.data import ImageDataset, load
from isavae.data.cache import read, write
from isavae.data.places import cache_file
from isavae.locks import locked


def open_shared(name: str) -> ImageDataset:
    """Open a data set by name; the first process on a machine draws it and keeps it on disk.

    This includes parts of a data set: later readers map a file instead of drawing.
    """
    digest = hashlib.sha256(f"{name} {isavae.__version__}".encode()).hexdigest()[:16]
    part = cache_file(f"part-{digest}")
    kept = read(part)
    if kept is not None:
        return kept.named(name)
    with locked(part.with_suffix(".lock"), wait=True):
        kept = read(part)
        data = load(name) if kept is None else kept.named(name)
        drawn = data.rows is None and data.preprocessing is None  # a folder is in the cache already
        if kept is None and "[" in name and drawn:
            write(part, f"part/{digest}", data.shape, [data.stored], data.grid)
            kept = read(part)  # what every other process gets
    return data if kept is None else kept.named(name)
