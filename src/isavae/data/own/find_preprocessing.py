"""What the images of a folder have in common: size, channels, range of values."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from isavae.data.own.decoding import AS_CHANNELS, DEFAULT_FIT, decode, read_channels, split_alpha
from isavae.data.own.image_file import (
    ImageFile,
    UnreadableImageError,
    count_channels,
    count_pages,
    open_image,
    opening,
    orientation,
    room_for,
)
from isavae.data.own.image_values import deep_values
from isavae.data.own.preprocessing import ALL, Preprocessing, lacking_fit
from isavae.data.own.threads import in_threads
from isavae.data.own.value_range import FULL_RANGE, ValueRange, natural_range
from isavae.data.read_progress import progress

T = TypeVar("T")

# A folder is grey if in none of up to 64 images, evenly spaced, the channels of a pixel differ by
# more than 8 of 255: JPEG gives grey images a little colour.
SAMPLE, GREY = 64, 8


def image_sizes(files: Sequence[str]) -> list[tuple[int, int]]:
    """Width and height of every image upright, from its header; 0 x 0 where it cannot be read."""

    def size(path: str) -> tuple[int, int]:
        try:
            with open_image(path) as image:
                across, down = image.size
                return (down, across) if orientation(image) > 4 else (across, down)
        except Exception:  # a damaged file makes Pillow raise some dozen kinds
            return 0, 0

    return list(of_each_file(size, files, "looking at sizes"))


def of_each_file(find: Callable[[str], T], files: Sequence[str], label: str) -> Iterator[T]:
    """What is found in each file, in order, by a thread per core; shows progress."""
    return progress(in_threads(find, files), len(files), label, unit="files")


def find_preprocessing(
    files: Sequence[str],
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    channels: int | None = None,
    values: ValueRange | None = None,
    pages: int | str = 1,
) -> Preprocessing:
    """What is given, and the rest from the images.

    Args:
        files: Paths of image files.
        size: Height and width; by default those of the first image that can be read.
        fit: How to resize images of another size; may be missing if `size` is.
        channels: By default that of most images of a sample; of grey and colour images 1 if all
            are grey, else 3.
        values: The values that become black and white; by default found from all images with more
            than 8 bits per channel (see `natural_range`).
        pages: The page that is read of a file, `all`, or `channels`.

    Raises:
        ValueError: If there is a size, but no fit.
    """
    if size is not None and fit is None:
        raise ValueError(lacking_fit(size))
    if values is None:
        values = _find_values(files, pages)
    some = files[:: -(-len(files) // SAMPLE)]
    if channels is None:
        kinds = Counter(n for n in in_threads(lambda path: _count(path, pages), some) if n >= 0)
        channels = kinds.most_common(1)[0][0] if kinds else 0
    wanted = channels or 3
    if size is None:
        tried = (_try(path, values, wanted, pages) for path in files)
        size = next((image.shape[1:] for image in tried if image is not None), (1, 1))
    if channels == 0:

        def is_coloured(path: str) -> bool:
            image = _try(path, values, wanted, pages, size)
            return image is not None and _is_coloured(image)

        channels = 3 if any(in_threads(is_coloured, some)) else 1
    return Preprocessing(size, fit, channels, values, pages)


def _count(path: str, pages: int | str) -> int:
    """The channels of an image, 0 if it is grey or in colour, -1 if it cannot be read."""
    try:
        if pages == AS_CHANNELS:
            return read_channels(path, pages).shape[2]
        with open_image(path, pages if isinstance(pages, int) else 1) as image:
            return count_channels(image)
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return -1


def _find_values(files: Sequence[str], pages: int | str) -> ValueRange:
    """The range of all images with more than 8 bits per channel."""
    found = [
        limits
        for each in of_each_file(lambda path: _limits(path, pages), files, "looking at values")
        if each
        for limits in each
    ]
    if not found:
        return FULL_RANGE
    lows, highs = zip(*found, strict=True)
    return ValueRange(deep=natural_range(min(lows), max(highs)))


def _limits(path: str, pages: int | str) -> list[tuple[float, float]]:
    """The smallest and largest value of each page with more than 8 bits per channel."""
    found = []
    try:
        with ImageFile(path) as file:
            for page in pages_of(file, pages):
                image = file.at(page)
                with room_for(image):
                    deep = deep_values(image, file, page)
                if deep is not None and deep.dtype != np.uint8:
                    colours = split_alpha(deep)[0] if count_channels(image) == 0 else deep
                    found.append((float(colours.min()), float(colours.max())))
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return found
    return found


def pages_of(source: str | ImageFile, pages: int | str) -> Sequence[int]:
    """The pages of a file that are read, from 1; the first where the file cannot be opened."""
    if isinstance(pages, int):
        return [pages]
    try:
        with opening(source) as file:
            return range(1, count_pages(file.at(1)) + 1)
    except Exception:  # reading all files will name it; Pillow raises some dozen kinds
        return [1]


def _try(
    path: str,
    values: ValueRange,
    channels: int,
    pages: int | str,
    size: tuple[int, int] | None = None,
) -> np.ndarray | None:
    """An image, or None if it cannot be read."""
    try:
        return decode(
            path, size, DEFAULT_FIT, channels, values, 1 if pages == ALL else pages
        ).pixels
    except UnreadableImageError:  # reading all files will name it
        return None


def _is_coloured(image: np.ndarray) -> bool:
    return bool((image.max(0) - image.min(0)).max() > GREY)
