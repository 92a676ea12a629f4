"""Arrays and torch data sets as `ImageDataset` stores them, and back to floats."""

import math
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from isavae.data.factor_values import grid_of_values
from isavae.data.factors import FactorGrid
from isavae.data.memory import memory_limit
from isavae.data.own.value_range import ROUNDING

# Pillow's images whose values are places in a palette, inks or other than red, green and blue, and
# what they become.
COLOURS = {"P": "RGB", "PA": "RGBA"} | dict.fromkeys(("CMYK", "HSV", "LAB", "YCbCr"), "RGB")
# Names of the image in items that are mappings, and what may be a label.
IMAGE_KEYS = ("image", "img", "images", "pixel_values", "pixels", "x", "data")
LABELS = (int, float, str, type(None))
# Entries of a vector that become factors; longer vectors are features, not labels.
MAX_LABELS = 64


# An array, a tensor, a Pillow image, or several of these in a list or generator.
Collection: TypeAlias = np.ndarray | Tensor | Iterable[Any]


@runtime_checkable
class Items(Protocol):
    """A torch data set of known length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def as_numpy(images: Any) -> np.ndarray:
    """Arrays, tensors of any layout, type and device, or what NumPy makes an array of.

    Raises:
        ValueError: If some values are masked.

    Examples:
        >>> as_numpy(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
        array([1., 1.], dtype=float32)
    """
    if isinstance(images, Tensor):
        plain = images.detach().cpu()
        plain = plain if plain.layout == torch.strided else plain.to_dense()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    if isinstance(images, np.ma.MaskedArray) and np.ma.is_masked(images):
        raise ValueError("Images must have all values, but some are masked: fill them.")
    return np.asarray(images)


def as_images(images: Collection) -> np.ndarray:
    """An array of images from whatever holds them, with the channels of Pillow images first.

    Args:
        images: An array or a tensor, a Pillow image, or several of these in a list, a generator or
            an array of objects.

    Raises:
        ValueError: If they are no images, differ in size, mode or type, or do not fit into memory.

    Examples:
        >>> as_images(np.eye(4, dtype=bool) for _ in range(3)).shape
        (3, 4, 4)
    """
    if _is_pillow(images):
        return _as_image(images)[None]
    array = as_numpy(images) if hasattr(images, "__array__") else None
    if array is not None and array.dtype != object:
        return array
    items = _gather(images if array is None else np.atleast_1d(array).tolist())
    if not any(hasattr(item, "__array__") for item in items):
        return _numbers(items)
    kinds = sorted({f"{getattr(i, 'dtype', type(i).__name__)} {np.shape(i)}" for i in items})
    if len(kinds) > 1 or items[0].dtype == object:
        raise ValueError(
            f"Images must be of one size, mode and type, but there are {', '.join(kinds[:4])}: "
            "resize or convert them."
        )
    return np.stack(items)


def _gather(images: Any) -> list[Any]:
    """The items of a list or generator, as long as they fit into memory; no iterable as one."""
    items, size, most = [], 0, memory_limit()
    for item in images if isinstance(images, Iterable) else [images]:
        is_image = hasattr(item, "__array__") or _is_pillow(item)
        items.append(_as_image(item) if is_image else item)
        size += items[-1].nbytes if is_image else sys.getsizeof(item)
        if size > most:
            raise ValueError(
                f"Images must fit into {most:,} bytes, but the first {len(items):,} do not: save "
                "them to a folder or an .npy file."
            )
    return items


def _numbers(items: Sequence[Any]) -> np.ndarray:
    """Nested lists of numbers as an array."""
    try:
        array = np.asarray(items)
    except ValueError:  # of several lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        kind = type(items[0]).__name__ if items else "nothing"
        raise ValueError(
            f"Images must be arrays or Pillow images of one size, but the first of them is {kind}: "
            "give the folder of image files, or `ImageDataset.from_torch` of a torch data set."
        )
    return array


def _is_pillow(image: Any) -> bool:
    return hasattr(image, "getbands") and hasattr(image, "mode")


def pack(images: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Images as `ImageDataset.stored`, and the shape of one.

    Args:
        images: As for `ImageDataset`.

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
    if images.dtype.kind == "f":
        images = _shares(images)
    if images.dtype.kind == "b" or ((images == 0) | (images == 1)).all():
        stored = np.packbits(images.reshape(len(images), -1) != 0, axis=1)
    elif images.dtype.kind == "f":
        stored = np.rint(images * 255).astype(np.uint8)
    else:
        stored = np.ascontiguousarray(images)
    return stored, shape


def _shares(images: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], those beyond by no more than rounding brought back.

    Raises:
        ValueError: If they lie elsewhere.
    """
    low, high = float(images.min()), float(images.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        where = f"reach from {low:.6g} to {high:.6g}"
        if not math.isfinite(low + high):
            where, advice = "hold NaN or infinity", "replace such values, or leave out their images"
        elif -1 - ROUNDING <= low < 0 and high <= 1 + ROUNDING:
            advice = "add 1 and halve them, if -1 is black"
        elif low >= 0 and 1 < high <= 255:
            advice = "divide them by 255, if 255 is white"
        else:
            advice = "subtract the black and divide by the distance to white"
        raise ValueError(f"Float images must lie in [0, 1], but {where}: {advice}.")
    return images.clip(0, 1) if low < 0 or high > 1 else images


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
    on_cpu = device is None or torch.device(device).type == "cpu"
    if not on_cpu or stored.ndim == 4:
        return unpack_there(to_device(stored, torch.device(device or "cpu")), shape)
    # `np.take` is twice as fast here as torch's `embedding` or unpacking and converting
    pixels = torch.from_numpy(np.take(_bits_of_bytes(), stored, axis=0))
    return pixels.flatten(1)[:, : math.prod(shape)].reshape(-1, *shape)


def unpack_there(
    stored: UInt8[Tensor, "n *packed"], shape: tuple[int, int, int]
) -> Float[Tensor, "n channels height width"]:
    """Stored images on any device as floats in [0, 1], without waiting for the device."""
    if stored.ndim == 4:
        return stored.float().mul_(1 / 255)
    # A look-up of all 8 bits of a byte takes 30 times as long on an H100.
    pixels = stored.unsqueeze(-1).bitwise_and(_masks_on(stored.device)).ne(0).float()
    return pixels.flatten(1)[:, : math.prod(shape)].reshape(-1, *shape)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device, to a GPU from pinned memory, so that nothing waits for it.

    Apple's GPUs share the memory, which must not change before a copy ends: there it waits.
    """
    tensor = torch.from_numpy(array)
    tensor = tensor.pin_memory() if device.type == "cuda" else tensor
    return tensor.to(device, non_blocking=device.type != "mps")


@cache
def _bits_of_bytes() -> np.ndarray:
    """float32 (256, 8): the bits of every byte, highest first."""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)


@cache
def _masks_on(device: torch.device) -> UInt8[Tensor, "8"]:
    """The bits of a byte, highest first."""
    return torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8).to(device)


def read_items(dataset: Items, name: str) -> tuple[np.ndarray, FactorGrid | None]:
    """The images of a torch data set, and its labels.

    Args:
        dataset: As for `ImageDataset.from_torch`.
        name: The name of the data set, for the warning.

    Raises:
        ValueError: If items are not images of one size, or differ in their entries.
    """
    items = [_entries(dataset[k]) for k in range(len(dataset))]
    if not items or any(item.keys() != items[0].keys() for item in items):
        raise ValueError(f"Items of {name} must be there and have the same entries each.")
    key = next((key for key in IMAGE_KEYS if key in items[0]), None)
    if key is None:
        raise ValueError(
            f"Items of {name} must have an image under one of {', '.join(IMAGE_KEYS)}, but have "
            f"{list(items[0])}: rename it."
        )
    images = [_as_image(item.pop(key)) for item in items]
    if len({image.shape for image in images}) != 1:
        shapes = sorted({image.shape for image in images})
        raise ValueError(f"Images must be of one size, but have {shapes}: resize them.")
    found = {entry: _as_factors(entry, [item[entry] for item in items]) for entry in items[0]}
    if left_out := [entry for entry, columns in found.items() if not columns]:
        warnings.warn(
            f"Entries of the items of {name} must be numbers or text to become factors; "
            f"{', '.join(left_out)} are left out: give factors to `ImageDataset`.",
            stacklevel=3,
        )
    factors = {factor: column for columns in found.values() for factor, column in columns.items()}
    return np.stack(images), grid_of_values(factors) if factors else None


def _entries(item: Any) -> dict[str, Any]:
    """The entries of an item by name; those of a sequence are the image, the label and others."""
    if isinstance(item, Mapping):
        return {str(key): value for key, value in item.items()}
    entries = item if isinstance(item, (tuple, list)) else (item,)
    names = ["image", "label", *(f"entry_{k}" for k in range(2, len(entries)))]
    return dict(zip(names, entries, strict=False))


def _as_image(image: Any) -> np.ndarray:
    """The pixels of an image; those of a Pillow image have their channels last."""
    if not _is_pillow(image):
        return as_numpy(image)
    if image.mode in COLOURS:
        is_clear = "transparency" in image.info
        image = image.convert("RGBA" if is_clear else COLOURS[image.mode])
    pixels = as_numpy(image)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels


def _as_factors(name: str, values: Sequence[Any]) -> dict[str, Sequence]:
    """One entry of all items as factors: labels as one, vectors of labels as one per position."""
    plain = [np.asarray(v).tolist() if isinstance(v, (np.generic, np.ndarray, Tensor)) else v
             for v in values]  # fmt: skip
    plain = [v[0] if isinstance(v, (list, tuple)) and len(v) == 1 else v for v in plain]
    if all(isinstance(value, LABELS) for value in plain):
        return {name: plain}
    if not all(isinstance(value, (list, tuple)) for value in plain):
        return {}
    labels = [label for value in plain for label in value]
    lengths = {len(value) for value in plain}
    if (
        len(lengths) > 1
        or max(lengths) > MAX_LABELS
        or not all(isinstance(v, LABELS) for v in labels)
    ):
        return {}
    return {f"{name}_{k}": column for k, column in enumerate(zip(*plain, strict=True))}
