"""The image files below a folder, by name, and what else is there."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from isavae.data.own.image_file import SUFFIXES
from isavae.errors import in_line, printable
from isavae.progress_line import ProgressLine

# Files and folders that are no images, before a folder is taken for something else, such as a whole
# disk; and how many more each image allows.
MOST_OTHERS, OTHERS_PER_IMAGE = 1_000_000, 10


def image_files(folder: Path) -> list[str]:
    """The image files below a folder, by name; hidden files and folders are left out.

    Raises:
        ValueError: If there is no such folder, or no image in it.
    """
    images, others = walk(folder)
    if not images:
        only = f", only {_list_some(others)}" if others else ""
        raise ValueError(
            f"{folder} must hold images ({', '.join(SUFFIXES)}), but holds none{only}."
        )
    return images


def walk(folder: Path) -> tuple[list[str], list[str]]:
    """Files below a folder with the suffix of an image, and the names of all others.

    Links to folders are followed; a folder that several paths lead to is read once. What is hidden
    by a dot before its name is among the others, a folder as one.

    Raises:
        ValueError: If there is no such folder, a folder in it cannot be read, or it holds little
            but other files.
    """
    if not folder.is_dir():
        raise ValueError(f"There must be a folder of images at {folder}, but there is none.")
    if os.path.realpath(folder) == "/":  # listing what a whole system holds takes minutes
        raise ValueError(
            f"A folder of images must be one, but {folder} is the root of the file system: name "
            "the folder that holds them."
        )
    images: list[str] = []  # strings: a hundred thousand `Path`s take seconds to sort
    others: list[str] = []
    seen: set[tuple[int, int]] = set()
    folders, links = [os.fspath(folder)], []
    with ProgressLine() as line:
        while folders or links:
            here = folders.pop() if folders else links.pop()
            n_files = len(images) + len(others)
            line(f"listing {printable(folder.name)}: {n_files:,} files, {len(images):,} images")
            try:
                status = os.stat(here)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                for entry in _entries(here):
                    if entry.name.startswith("."):
                        others.append(entry.path)
                    elif _is_folder(entry):
                        (links if entry.is_symlink() else folders).append(entry.path)
                    else:
                        is_image = entry.name.lower().endswith(SUFFIXES)
                        (images if is_image else others).append(entry.path)
                    _check_share(folder, len(images), len(others) + len(folders) + len(seen))
            except FileNotFoundError:  # removed since its folder was listed
                continue
            except OSError as error:
                raise ValueError(
                    f"Folders of images must be readable, but {here} is not ({error.strerror}): "
                    "make it so, or name another folder."
                ) from None
    return sorted(images), image_names(folder, sorted(others))


def _entries(folder: str) -> "Iterator[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        yield from entries


def _check_share(folder: Path, n_images: int, n_others: int) -> None:
    """Check that a folder may still be one of images, while its files are listed.

    Raises:
        ValueError: If it may not.
    """
    if n_others > MOST_OTHERS + OTHERS_PER_IMAGE * n_images:
        raise ValueError(
            f"A folder of images must hold little else, but of {n_images + n_others:,} files and "
            f"folders below {folder} only {n_images:,} are images: name the folder that holds them."
        )


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle: left out when it is read
        return False


def image_names(folder: Path, files: Sequence[str]) -> list[str]:
    r"""Paths of files below a folder, with `/` on every platform; bytes beyond UTF-8 as `\xff`."""
    prefix = os.path.join(folder, "")  # "./" does not stand before a path in the current folder
    names = [path.removeprefix(prefix).replace(os.sep, "/") for path in files]
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


def fingerprint(folder: Path, files: Sequence[str]) -> str:
    """Changes with the name, size or time of change of any of the files."""
    stamps = [*zip(image_names(folder, files), map(_stamp, files), strict=True)]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:  # a link that leads nowhere: it is left out when it is read
        return 0, 0
    return status.st_size, status.st_mtime_ns


def describe_others(folder: Path, read: Collection[str] = ()) -> list[str]:
    """A sentence about what is in a folder besides images, if there is anything.

    Args:
        folder: The folder.
        read: Names of files that are read nevertheless.
    """
    others = [name for name in walk(folder)[1] if name not in read]
    reason = "not read, as hidden or without the suffix of an image"
    return [f"{_list_some(others)}: {reason}."] if others else []


def _list_some(names: Sequence[str]) -> str:
    """The number of files, and the names of the first five."""
    listed = ", ".join([*map(in_line, names[:5]), *(["..."] if len(names) > 5 else [])])
    return f"{len(names):,} other file{'s' if len(names) > 1 else ''}: {listed}"
