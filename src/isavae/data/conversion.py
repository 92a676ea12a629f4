"""Arrays and torch data sets as `ImageDataset` stores them, and back to floats."""

import math
import warnings
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.factors import FactorGrid


@runtime_checkable
class Items(Protocol):
    """A torch data set of known length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def pack(images: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Images as `ImageDataset.stored`, and the shape of one.

    Args:
        images: As for `ImageDataset.from_arrays`.

    Raises:
        ValueError: If the shape, type or range is another.
    """
    if images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(
            "Images must have shape (n, h, w) or (n, channels, h, w) and not be empty, "
            f"but have shape {images.shape}: reshape them."
        )
    images = images[:, None] if images.ndim == 3 else images
    shape = images.shape[1:]
    if shape[0] > 4 >= shape[2]:
        raise ValueError(
            "Images must have their channels first, but have shape "
            f"{images.shape}: give `images.transpose(0, 3, 1, 2)`."
        )
    if images.dtype.kind not in "bf" and images.dtype != np.uint8:
        raise ValueError(
            f"Images must be bool, uint8 or floats in [0, 1], but are {images.dtype}: convert them."
        )
    if images.dtype.kind == "f" and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"Float images must lie in [0, 1], but reach from {images.min()} to "
            f"{images.max()}: rescale them."
        )
    if images.dtype.kind == "b" or ((images == 0) | (images == 1)).all():
        stored = np.packbits(images.reshape(len(images), -1) != 0, axis=1)
    elif images.dtype.kind == "f":
        stored = np.rint(images * 255).astype(np.uint8)
    else:
        stored = np.ascontiguousarray(images)
    return stored, shape


def unpack(
    stored: np.ndarray, shape: tuple[int, int, int], device: torch.device | str | None = None
) -> Float[Tensor, "n channels height width"]:
    """Stored images as floats in [0, 1].

    Args:
        stored: As `pack` returns them, one bit or one byte a value.
        shape: (channels, height, width).
        device: The device of the result; packed images are unpacked there.

    Examples:
        >>> images = np.arange(12).reshape(1, 3, 4) % 2
        >>> bool((unpack(*pack(images == 1)) == torch.from_numpy(images)).all())
        True
    """
    if stored.ndim == 4:
        return torch.from_numpy(stored).to(device).float().mul_(1 / 255)
    if device is None or torch.device(device).type == "cpu":
        # `np.take` is twice as fast here as torch's `embedding` or unpacking and converting
        pixels = torch.from_numpy(np.take(_bits_of_bytes(), stored, axis=0))
    else:
        table = torch.from_numpy(_bits_of_bytes()).to(device)
        pixels = table[torch.from_numpy(stored).to(device).int()]
    return pixels.flatten(1)[:, : math.prod(shape)].reshape(-1, *shape)


@cache
def _bits_of_bytes() -> np.ndarray:
    """float32 (256, 8): the bits of every byte, highest first."""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)


def read_items(dataset: Items, name: str) -> tuple[np.ndarray, FactorGrid | None]:
    """The images of a torch data set, and its labels.

    Args:
        dataset: As for `ImageDataset.from_torch`.
        name: The name of the data set, for the warning.

    Raises:
        ValueError: If items are not images of one size.
    """
    items = [dataset[k] for k in range(len(dataset))]
    entries = [tuple(one) if isinstance(one, (tuple, list)) else (one,) for one in items]
    images = [np.asarray(image) for image, *_ in entries]
    if len({image.shape for image in images}) != 1:
        shapes = sorted({image.shape for image in images})
        raise ValueError(f"Images must be of one size, but have {shapes}: resize them.")
    labels = [None if len(entry) < 2 else _integer(entry[1]) for entry in entries]
    grid = None
    known = [label for label in labels if label is not None]
    if len(known) == len(labels):
        values, classes = np.unique(known, return_inverse=True)
        categories = {"label": tuple(values.tolist())}
        grid = FactorGrid(("label",), (len(values),), classes[:, None], categories=categories)
    read = 1 if grid is None else 2
    if max(map(len, entries)) > read:
        warnings.warn(
            f"Items of {name} must be an image and an integer; entries from position {read} on "
            "are left out: give factors as a `FactorGrid` to `from_arrays`.",
            stacklevel=3,
        )
    return np.stack(images), grid


def _integer(label: Any) -> int | None:
    """The integer of a label, also of an array or a tensor of one; None if it is something else."""
    if not isinstance(label, (int, np.generic, np.ndarray, Tensor)):
        return None
    array = np.asarray(label)
    return int(array.item()) if array.size == 1 and array.dtype.kind in "iub" else None
