"""A user's own pictures: a folder of files, decoded with all cores into the cache."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from isavae.data.own import decoding
from isavae.data.own.decoders import decode_all
from isavae.data.own.stream import ImageStream
from isavae.data.safe_reading import import_extra

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
CHUNK = 1 << 20  # bytes of pixels that one request to a decoding process asks for


def picture_files(folder: Path) -> list[str]:
    """The picture files below a folder, by name; hidden files and folders are left out.

    Raises:
        ValueError: If there is none.
    """
    found: list[str] = []  # strings: a hundred thousand `Path`s take seconds to sort
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.lower().endswith(SUFFIXES):
                    found.append(entry.path)
    if not found:
        raise ValueError(f"{folder} must hold pictures ({', '.join(SUFFIXES)}), but holds none.")
    return sorted(found)


def read_folder(
    folder: Path,
    files: Sequence[str],
    size: tuple[int, int] | None = None,
    fit: str = "",
    channels: int = 0,
) -> ImageStream:
    """The pictures below a folder.

    Args:
        folder: The folder.
        files: Its `picture_files`.
        size: Height and width to bring them to; may be left out if all have the same.
        fit: How: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores
            proportions.
        channels: 1 for grey, 3 for colour; by default colour if any of a sample of files is.

    Raises:
        ValueError: If no picture can be read, or sizes differ and no rule is given.
    """
    if size and fit not in decoding.FITS:
        raise ValueError(
            f"`fit` must say how to bring pictures to {size[0]} x {size[1]}, one of "
            f"{', '.join(decoding.FITS)}, but is {fit!r}."
        )
    channels = channels or _channels(files)
    shape = (channels, *(size or _first_size(files, channels)))
    at_once = max(1, CHUNK // math.prod(shape))
    how = {"shape": shape, "channels": channels, "size": size, "fit": fit}
    requests = [{"paths": files[k : k + at_once], **how} for k in range(0, len(files), at_once)]
    within = len(os.path.join(folder, ""))
    names = [path[within:].replace(os.sep, "/") for path in files]
    damaged: dict[int, str] = {}
    return ImageStream(shape, len(files), _blocks(requests, names, damaged), names, damaged)


def _blocks(
    requests: Sequence[dict], names: Sequence[str], damaged: dict[int, str]
) -> Iterator[np.ndarray]:
    """Pixels of all files that can be read, in their order; the others are noted in `damaged`."""
    first = 0
    for request, (pixels, about) in zip(requests, decode_all(requests), strict=True):
        if "error" in about:
            raise ValueError(
                f"Every picture must be of one size, but {about['error']}: give a size and a fit."
            )
        damaged |= {first + position: why for position, why in about["damaged"]}
        first += len(request["paths"])
        channels, height, width = request["shape"]
        rows = np.frombuffer(pixels, np.uint8).reshape(-1, height, channels, width)
        yield rows.transpose(0, 2, 1, 3)
    if len(damaged) == len(names):
        raise ValueError(f"A picture must be readable, but {_listed(damaged, names)}.")
    if damaged:
        verb = "is" if len(damaged) == 1 else "are"
        left_out = f"{len(damaged):,} of {len(names):,} pictures {verb} left out"
        warnings.warn(f"{left_out}: {_listed(damaged, names)}.", stacklevel=2)


def _listed(damaged: dict[int, str], names: Sequence[str]) -> str:
    some = [f"{names[k]} ({why})" for k, why in sorted(damaged.items())[:5]]
    return "; ".join([*some, "..."] if len(damaged) > 5 else some)


def _first_size(files: Sequence[str], channels: int) -> tuple[int, int]:
    """Height and width of the first picture that can be read, 1 x 1 if none can."""
    for path in files:
        try:
            picture = decoding.prepared(path, channels, None, "")
        except Exception:  # reading all of them will say why
            continue
        return picture.height, picture.width
    return 1, 1


def _channels(files: Sequence[str]) -> int:
    """3 if any of up to 64 files, evenly spaced, has colours."""
    image = import_extra("PIL.Image")
    for path in files[:: -(-len(files) // 64)]:
        try:
            with image.open(path) as picture:
                if picture.mode not in ("1", "L", "LA") and not picture.mode.startswith("I"):
                    return 3
        except Exception:  # decoding it will name the file
            continue
    return 1
