"""The images that `fit` trains on: one array, at a proposed size."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeAlias, final

import numpy as np

from isavae.data import ImageDataset, load
from isavae.data.catalog import parse_options, split_path
from isavae.data.conversion import Collection
from isavae.data.own.decoding import DEFAULT_FIT
from isavae.data.own.find_preprocessing import find_preprocessing, image_sizes
from isavae.data.own.folder import list_left_out, read_folder
from isavae.data.own.image_file import is_image_file
from isavae.data.own.image_listing import describe_others, fingerprint, image_files, image_names
from isavae.data.own.open import Check, open_array, resized, unchecked
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.own.value_range import parse_range
from isavae.data.read_progress import progress
from isavae.data.tiles import to_bytes

# Fewer images are refused.
FEWEST = 16
# About the most pixels of a proposed size.
MAX_PIXELS = 64 * 64

Opened: TypeAlias = str | os.PathLike[str] | ImageDataset
Source: TypeAlias = Opened | Collection


@final
@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The readable images of a folder, an array file or a data set.

    Attributes:
        names: Their paths below the folder, or their numbers.
        images: uint8, (images, channels, height, width).
        left_out: Why an image cannot be read, by name.
        original: Width and height of every readable image, from its header.
        preprocessing: How they were read.
        fingerprint: Changes with the name, size or time of change of any file.
        notes: What reading changed, one sentence each.
    """

    names: tuple[str, ...]
    images: np.ndarray
    left_out: dict[str, str]
    original: tuple[tuple[int, int], ...]
    preprocessing: Preprocessing
    fingerprint: str
    notes: tuple[str, ...] = ()


def read_training_images(
    source: Source,
    size: tuple[int, int] | None = None,
    fit: str = DEFAULT_FIT,
    check: Check = unchecked,
) -> TrainingImages:
    """Read all images; those that cannot be read are left out.

    Args:
        source: A folder of images (folders below it count) or an array file, with the options of
            `--data` in brackets, the name of a data set, or images.
        size: Height and width to bring images to; by default those of an array, and of image files
            see `propose_size`.
        fit: What to do with other proportions: `crop`, `pad` or `stretch`.
        check: Called with the number and the shape of the images before they are read; may refuse
            them.

    Raises:
        ValueError: If there are too few readable images, or they are all the same.
    """
    source = open_collection(source)
    folder = image_folder(source)
    found = (
        _of_data_set(source, size, fit, check)
        if folder is None
        else _of_folder(folder, split_path(os.fspath(source))[1], size, fit, check)  # pyrefly: ignore
    )
    if len(found.images) < FEWEST:
        n, n_left = len(found.images), len(found.left_out)
        has = f"of the {n + n_left} in {source} {n} are" if n_left else f"{source} has {n}"
        raise ValueError(
            f"At least {FEWEST} images must be readable, but {has}: add images. "
            f"{list_left_out(found.left_out)}".strip()
        )
    if (found.images == found.images[0]).all():
        raise ValueError(
            f"Images must differ from each other, but the {len(found.images)} in {source} are all "
            "the same: use others."
        )
    return found


def open_collection(source: Source) -> Opened:
    """Images in memory as a data set; paths, names and data sets as they are.

    Raises:
        ValueError: If they are no images.
    """
    return source if isinstance(source, (str, os.PathLike, ImageDataset)) else open_array(source)


def image_folder(source: Opened) -> Path | None:
    """The folder of image files that is meant, if one is.

    Raises:
        ValueError: If it is a single image, or a path that leads nowhere.
    """
    if isinstance(source, ImageDataset):
        return None
    name = split_path(os.fspath(source))[0]
    path = Path(name)
    if os.sep in name and not os.path.exists(name):
        raise ValueError(f"There must be images at {path}, but there is none.")
    if is_image_file(path) and path.is_file():
        raise ValueError(f"At least {FEWEST} images are needed, but {path} is one: give a folder.")
    return path if path.is_dir() else None


def find_fingerprint(source: Opened) -> str | None:
    """Changes with the images; None if they are not there (any more)."""
    if isinstance(source, ImageDataset):
        digest = hashlib.sha256(repr(source.shape).encode())
        for block in np.array_split(np.arange(len(source)), -(-len(source) // 256)):
            digest.update(to_bytes(source.batch(block)).tobytes())
        return digest.hexdigest()[:16]
    path = Path(split_path(os.fspath(source))[0])
    if not path.exists():
        return None
    files = image_files(path) if path.is_dir() else [str(path)]
    return fingerprint(path if path.is_dir() else path.parent, files)


def _of_data_set(
    source: Opened, size: tuple[int, int] | None, fit: str, check: Check
) -> TrainingImages:
    """The images of an array or a data set, at their own size if none is given."""

    def check_resized(count: int, shape: tuple[int, int, int]) -> None:
        check(count, (shape[0], *(size or shape[1:])))

    data = source if isinstance(source, ImageDataset) else load(os.fspath(source), check_resized)
    check_resized(len(data), data.shape)
    fingerprint, original = find_fingerprint(source), (data.shape[2], data.shape[1])
    data = resized(data, size or data.shape[1:], fit)
    n_channels, height, width = data.shape
    return TrainingImages(
        tuple(str(k) for k in range(len(data))),
        to_bytes(data.batch(slice(None))),
        {},
        (original,) * len(data),
        data.preprocessing or Preprocessing((height, width), DEFAULT_FIT, n_channels),
        fingerprint or "",
        (*data.notes, *(data.grid.counts(only_unknown=True) if data.grid else ())),
    )


def _of_folder(
    folder: Path, options: str, size: tuple[int, int] | None, fit: str, check: Check
) -> TrainingImages:
    how, choices = parse_options(options)
    if unknown := {*how, *choices} - {"size", "fit", "channels", "range", "pages", "show"}:
        raise ValueError(
            f"A folder is fitted with the options size, fit, channels, range, pages and show, but "
            f"{min(unknown)} is given: omit it."
        )
    files = image_files(folder)
    original = image_sizes(files)
    size = size or how.get("size") or propose_size([found for found in original if min(found)])
    preprocessing = find_preprocessing(
        files,
        size,
        how.get("fit", fit),
        how.get("channels"),
        parse_range(how.get("range", "auto")),
        how.get("pages", 1),
    )
    preprocessing = replace(preprocessing, show=how.get("show", ()))
    stream = read_folder(folder, preprocessing, files)
    check(stream.count, stream.shape)
    blocks = [*progress(stream.blocks, stream.count, f"reading {folder.name}", len, "images")]
    kept = [stream.names[k] for k in stream.positions()]
    shapes = dict(zip(image_names(folder, files), original, strict=True))
    return TrainingImages(
        tuple(kept),
        np.concatenate(blocks),
        dict(stream.left_out),
        tuple(shapes[name if name in shapes else name.rpartition("#")[0]] for name in kept),
        preprocessing,
        fingerprint(folder, files),
        (*stream.changes(), *describe_others(folder, ["factors.csv"]), *_unused_factors(folder)),
    )


def _unused_factors(folder: Path) -> list[str]:
    is_there = (folder / "factors.csv").is_file()
    return ["factors.csv is not read, as models are fitted without labels."] if is_there else []


def propose_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width: the median of the images', reduced to about 64 x 64 pixels in all.

    Args:
        sizes: Width and height of every image.

    Examples:
        >>> propose_size([(28, 28)] * 3), propose_size([(430, 128)] * 3)
        ((28, 28), (35, 117))
    """
    width, height = (median(sides) for sides in zip(*sizes or [(1, 1)], strict=True))
    scale = min(1.0, (MAX_PIXELS / (width * height)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))
