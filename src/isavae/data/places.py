"""The cache folder for data sets."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from isavae.errors import counted
from isavae.files import scratch_folder


def cache_folder() -> Path:
    """The folder for data sets: `ISAVAE_CACHE`, or `isavae` in the platform's cache folder.

    If that does not exist and cannot be made, as in many containers, a folder among the temporary
    files of the user.
    """
    if chosen := os.environ.get("ISAVAE_CACHE"):
        return Path(chosen).expanduser()
    try:
        usual = _platform_folder()
    except RuntimeError:  # a user without a home
        return scratch_folder() / "cache"
    return usual if usual.is_dir() or _is_writable(usual) else scratch_folder() / "cache"


def cache_file(name: str) -> Path:
    """The path of the file of a data set, whether or not it exists."""
    return cache_folder() / f"{name}.images"


def check_writable(folder: Path) -> None:
    """Check that files can be written to a cache folder, which may have to be made.

    Raises:
        ValueError: If they cannot.
    """
    if not _is_writable(folder):
        raise ValueError(
            f"The cache folder must be writable, but {folder} is not: "
            "set ISAVAE_CACHE to a folder that is."
        )


def check_space(count: int, block: np.ndarray) -> None:
    """Check that images find space in the cache folder, before they are written.

    Args:
        count: Their number.
        block: The first of them, as they are stored.

    Raises:
        ValueError: If they do not.
    """
    needed, folder = count * block[0].nbytes, cache_folder()
    free = shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise ValueError(
            f"The cache folder {folder} must have space for {counted(count, 'image')}, "
            f"{needed / 1e9:,.1f} GB, but has {free / 1e9:,.1f} GB: give a smaller size, such as "
            "size=64, fit=crop, or set ISAVAE_CACHE to a folder with more space."
        )


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "isavae/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/isavae"
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "isavae"


def _is_writable(folder: Path) -> bool:
    existing = _existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
