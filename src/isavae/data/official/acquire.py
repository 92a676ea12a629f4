"""Open, import and download published data sets: files are checked, read and kept packed."""

from pathlib import Path

from isavae.data.cache import read, write, write_reference
from isavae.data.dataset import ImageDataset
from isavae.data.official.files import OFFICIAL, PublishedDataset, PublishedFile
from isavae.data.official.transfer import fetch, has_hash
from isavae.data.places import cache_file, cache_folder
from isavae.data.read_progress import progress


def open_official(name: str) -> ImageDataset:
    """Open a published data set that was imported before.

    Raises:
        ValueError: If it was not imported.
    """
    dataset = read(cache_file(name), _content(name))
    if dataset is None:
        raise ValueError(f"{name} must be imported before it is used: {how_to_get(name)}")
    return dataset


def import_official(
    name: str, path: Path, checked: bool = True, official: PublishedDataset | None = None
) -> ImageDataset:
    """Read published files into the cache.

    Args:
        name: The data set.
        path: The file, or the folder of files.
        checked: Whether their hashes must be the published ones.
        official: What the files must hold; by default what was published under that name.

    Raises:
        ValueError: If a file is missing, differs from the published one, or cannot be read.
    """
    official = official or published(name)
    found = {file: place for file in official.files if (place := _locate(path, file, official))}
    if not found or (len(found) < len(official.files) and not official.alternatives):
        raise ValueError(f"{path} must be or hold {_names(official)}: {how_to_get(name)}")
    if official.alternatives:
        found = dict([next(iter(found.items()))])
    for file, place in found.items():
        if checked and place.is_file():
            check_hash(place, file.hash)
    places = list(found.values())
    if official.map and (mapped := official.map(places[0], official.grid)):
        write_reference(cache_file(name), _content(name), mapped, official.grid)
        return open_official(name)
    blocks = official.read(places, official.grid)
    blocks = progress(blocks, len(official.grid), f"importing {name}", len, "images")
    write(cache_file(name), _content(name), official.shape, blocks, official.grid)
    return open_official(name)


def download(name: str) -> ImageDataset:
    """Download the published files of a data set and import them.

    The files stay in `downloads` in the cache folder.

    Raises:
        ValueError: If they may not be downloaded, cannot be reached, or differ from the published
            ones.
    """
    official = published(name)
    files = official.files[:1] if official.alternatives else official.files
    if not all(file.folder for file in files):
        raise ValueError(f"{name} must not be distributed ({official.licence}): {how_to_get(name)}")
    folder = cache_folder() / "downloads"
    places = [fetch(file, folder) for file in files]
    # `fetch` has checked the hashes
    return import_official(name, places[0] if len(places) == 1 else folder, checked=False)


def published(name: str) -> PublishedDataset:
    """The published data set of a name.

    Raises:
        ValueError: If there is none.
    """
    if name not in OFFICIAL:
        raise ValueError(f"A published data set is one of {', '.join(OFFICIAL)}, not {name!r}.")
    return OFFICIAL[name]


def check_hash(path: Path, expected: str) -> None:
    """Check that a file has the hash of the published one, where one is known.

    Raises:
        ValueError: If it has another.
    """
    if not has_hash(path, expected):
        raise ValueError(
            f"{path} must have the hash {expected} of the published file, but has another: "
            "get it again, or import it with --unchecked if you trust it."
        )


def how_to_get(name: str) -> str:
    """How to get a published data set."""
    official = published(name)
    command = f"isavae data import {name} PATH"
    if not official.files[0].folder:
        return f"get {_names(official)} from its owners, then `{command}`"
    fetched = f"{official.files[0].folder}/{official.files[0].name}"
    return f"`isavae data download {name}`, or fetch {fetched} yourself, then `{command}`"


def _names(official: PublishedDataset) -> str:
    between = " or " if official.alternatives else " and "
    return between.join(file.name for file in official.files)


def _locate(path: Path, file: PublishedFile, official: PublishedDataset) -> Path | None:
    """The path of a file, given a path to it, to the only file, or to its folder."""
    if not path.is_dir():
        only = len(official.files) == 1 or path.suffix == Path(file.name).suffix
        return path if path.is_file() and (path.name == file.name or only) else None
    if (path / file.name).is_file():
        return path / file.name
    unpacked = file.name.endswith(".tar.gz") and any(path.glob("**/list.txt"))
    return path if unpacked else None


def _content(name: str) -> str:
    return f"{name}/1"
