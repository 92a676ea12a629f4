"""A folder of image files: how they are read, and which are left out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isavae.data.own.changes import Changes
from isavae.data.own.decoding import DecodedImage, ImageSizeError
from isavae.data.own.find_preprocessing import of_each_file, pages_of
from isavae.data.own.image_file import ImageFile, UnreadableImageError
from isavae.data.own.image_listing import image_files, image_names
from isavae.data.own.preprocessing import ALL, Preprocessing
from isavae.data.own.stream import ImageStream
from isavae.data.own.threads import in_threads
from isavae.errors import in_line

# Bytes of pixels that one task decodes.
BLOCK = 1 << 20


def read_folder(
    folder: Path, preprocessing: Preprocessing, files: Sequence[str] | None = None
) -> ImageStream:
    """The images below a folder, decoded by a thread per core while they are taken.

    Args:
        folder: The folder.
        preprocessing: What becomes of every image.
        files: The `image_files` of the folder, where they are known.

    Raises:
        ValueError: If there is no image, or (while blocks are taken) none can be read, or one has
            another size and the preprocessing has no `fit`.
    """
    files = image_files(folder) if files is None else files
    names = image_names(folder, files)
    pages = preprocessing.pages
    numbered: list[Sequence[int | str]] = (
        [*of_each_file(lambda path: pages_of(path, pages), files, "counting pages")]
        if pages == ALL
        else [[pages]] * len(files)
    )
    images = [
        NamedPage(name if len(pages) == 1 else f"{name}#{page}", path, page)
        for name, path, pages in zip(names, files, numbered, strict=True)
        for page in pages
    ]
    names, left_out, changes = [image.name for image in images], {}, Changes(preprocessing)
    blocks = _blocks(images, preprocessing, left_out, changes)
    return ImageStream(preprocessing.shape, len(images), blocks, names, left_out, changes.sentences)


class NamedPage(NamedTuple):
    """An image to read: a page of a file, or all of them as its channels."""

    name: str
    path: str
    page: int | str


def _blocks(
    images: Sequence[NamedPage],
    preprocessing: Preprocessing,
    left_out: dict[str, str],
    changes: Changes,
) -> Iterator[np.ndarray]:
    per_image = math.prod(preprocessing.shape)
    at_once = max(1, BLOCK // per_image)

    def read(first: int) -> tuple[list[DecodedImage], dict[str, str]]:
        decoded: list[DecodedImage] = []
        unreadable: dict[str, str] = {}
        for path, pages in groupby(images[first : first + at_once], attrgetter("path")):
            with ImageFile(path) as file:
                for name, _, page in pages:
                    try:
                        decoded.append(preprocessing.decode(file, page))
                    except UnreadableImageError as error:
                        unreadable[name] = str(error)
                    except ImageSizeError as error:
                        raise ImageSizeError(
                            f"All images must have one size, but {in_line(name)} is {error}: give "
                            "a size and a fit."
                        ) from None
        return decoded, unreadable

    for decoded, unreadable in in_threads(
        read, range(0, len(images), at_once), at_once * per_image
    ):
        left_out |= unreadable
        for image in decoded:
            changes.add(image)
        if decoded:
            yield np.stack([image.pixels for image in decoded])
    if len(left_out) == len(images):
        raise ValueError(f"An image must be readable, but {list_left_out(left_out)}.")


def list_left_out(left_out: Mapping[str, str]) -> str:
    """The first five images that are left out, each with its reason."""
    some = [f"{in_line(name)} ({in_line(why)})" for name, why in [*left_out.items()][:5]]
    return "; ".join([*some, "..."] if len(left_out) > 5 else some)
