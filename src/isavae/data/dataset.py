"""`ImageDataset`: many images of one size, packed, with the factors behind them if known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol, TypeAlias, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.factors import Choice, FactorGrid
from isavae.data.order import epoch_order
from isavae.data.own.preprocessing import Preprocessing

Paint: TypeAlias = Callable[[Tensor, np.ndarray], Tensor]  # images, their rows -> colour images
Rows: TypeAlias = Sequence[int] | np.ndarray | Tensor | slice


@runtime_checkable
class Items(Protocol):
    """What is asked of a torch data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@final
@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images in memory or memory-mapped, read in batches of floats in [0, 1].

    Args:
        name: What the data set is called.
        stored: uint8, either (images, channels, height, width) with values 0..255, or for binary
            images (images, bytes): the pixels eight a byte, the first in the highest bit.
        shape: (channels, height, width).
        grid: The factors of every image, where known.
        rows: Which of the stored images belong to the data set, in order; by default all. Rows
            beyond the last begin again with the first: pictures that `paint` makes of one image.
        block: How many neighbouring images stay together when an epoch is shuffled; more than 1 for
            data that do not fit into memory (see `epoch_order`).
        paint: Makes colour images of the stored ones and their rows when a batch is read.
        preprocessing: How images of a folder were read; None for others.

    Examples:
        >>> data = ImageDataset.from_arrays(np.eye(8, dtype=np.uint8)[None].repeat(6, 0))
        >>> len(data), data.shape, data.is_binary
        (6, (1, 8, 8), True)
        >>> data.minibatch(seed=0, step=2, size=3).shape
        torch.Size([3, 1, 8, 8])
    """

    name: str
    stored: np.ndarray
    shape: tuple[int, int, int]
    grid: FactorGrid | None = None
    rows: np.ndarray | None = None
    block: int = 1
    paint: Paint | None = None
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        c, h, w = self._stored_shape
        packed = (-(-c * h * w // 8),)
        if self.stored.dtype != np.uint8 or self.stored.shape[1:] not in (packed, (c, h, w)):
            raise ValueError(
                f"Stored images must be uint8 of shape (images, {packed[0]}) or "
                f"(images, {c}, {h}, {w}), but are {self.stored.dtype} of shape "
                f"{self.stored.shape}: use `from_arrays`."
            )
        if self.grid is not None and len(self.grid) != len(self):
            raise ValueError(
                f"The grid must have one row per image, but has {len(self.grid)} rows "
                f"for {len(self)} images: give `labels` for a partial grid."
            )

    @classmethod
    def from_arrays(
        cls, images: np.ndarray | Tensor, grid: FactorGrid | None = None, name: str = "images"
    ) -> "ImageDataset":
        """Make a data set of an array.

        Args:
            images: (n, h, w) or (n, channels, h, w): bool, uint8 (0..255, or binary if all are 0
                or 1) or floats in [0, 1], which are rounded to 8 bits unless all are 0 or 1.
            grid: The factors, one row per image.
            name: What to call it.

        Raises:
            ValueError: If shape, type or range is another.
        """
        images = np.asarray(images)
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
                f"Images must be bool, uint8 or floats in [0, 1], but are {images.dtype}: "
                "convert them."
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
        return cls(name, stored, shape, grid)

    @classmethod
    def from_torch(cls, dataset: Items, name: str = "images") -> "ImageDataset":
        """Read all of a torch data set into memory.

        Args:
            dataset: Items are images as for `from_arrays`, or sequences that begin with one; an
                integer
                after it becomes the factor `label`.
            name: What to call it.

        Raises:
            ValueError: If items are no images of one size.
        """
        items = [dataset[k] for k in range(len(dataset))]
        labelled = [one if isinstance(one, (tuple, list)) else (one,) for one in items]
        images = [np.asarray(one[0]) for one in labelled]
        if len({image.shape for image in images}) != 1:
            shapes = sorted({image.shape for image in images})
            raise ValueError(f"Images must be of one size, but have {shapes}: resize them.")
        labels = [one[1] for one in labelled if len(one) > 1 and isinstance(one[1], int)]
        grid = None
        if len(labels) == len(images):
            values, classes = np.unique(labels, return_inverse=True)
            categories = {"label": tuple(values.tolist())}
            grid = FactorGrid(("label",), (len(values),), classes[:, None], categories=categories)
        return cls.from_arrays(np.stack(images), grid, name)

    def __len__(self) -> int:
        return len(self.stored) if self.rows is None else len(self.rows)

    def __repr__(self) -> str:
        c, h, w = self.shape
        factors = "" if self.grid is None else f", factors {', '.join(self.grid.names)}"
        return f"ImageDataset({self.name}: {len(self):,} images, {c} x {h} x {w}{factors})"

    @property
    def is_binary(self) -> bool:
        """Whether every pixel is 0 or 1, stored as one bit."""
        return self.stored.ndim == 2 and self.paint is None

    def batch(
        self, indices: Rows, device: torch.device | str | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Some images, as float32 in [0, 1].

        Args:
            indices: Positions within the data set.
            device: Where the result shall be; packed images are sent there and unpacked there.
        """
        positions = self._positions(indices)
        rows = positions if self.rows is None else self.rows[positions]
        chosen = np.ascontiguousarray(self.stored[rows % len(self.stored)])
        images = self._unpack(chosen, device) if chosen.ndim == 2 else _to_floats(chosen, device)
        return images if self.paint is None else self.paint(images, rows)

    def steps_per_epoch(self, size: int) -> int:
        """How many whole minibatches an epoch has.

        Raises:
            ValueError: If the data set is smaller than one minibatch.
        """
        if not 1 <= size <= len(self):
            raise ValueError(
                f"The batch size must be in 1..{len(self)}, the images of {self.name}, "
                f"but is {size}."
            )
        return len(self) // size

    def minibatch(
        self, seed: int, step: int, size: int, device: torch.device | str | None = None
    ) -> Float[Tensor, "size c h w"]:
        """The minibatch of a step: a pure function of (seed, step, size).

        Each epoch visits the images in a new order, without replacement; the images that do not
        fill a last minibatch are left out of that epoch.

        Args:
            seed: The run's seed.
            step: Counts from 0, through all epochs.
            size: Images per minibatch.
            device: Where the result shall be.

        Raises:
            ValueError: If the data set is smaller than one minibatch.
        """
        epoch, position = divmod(step, self.steps_per_epoch(size))
        order = epoch_order(len(self), seed, epoch, self.block)
        return self.batch(order[position * size : (position + 1) * size], device)

    def select(self, **choices: Choice) -> "ImageDataset":
        """The images that show the chosen classes of some factors, without copying them.

        Args:
            **choices: As for `FactorGrid.select`.

        Raises:
            ValueError: If the factors of the images are not known, or have no such class.
        """
        if self.grid is None:
            raise ValueError(f"{self.name} has no factors to select by: give it a `grid`.")
        rows, grid = self.grid.select(**choices)
        return self._at(rows, grid)

    def sample(self, n: int, seed: int = 0) -> "ImageDataset":
        """A random subset without repeats, in the data set's order; a pure function of (n, seed).

        Raises:
            ValueError: If the data set has fewer than n images.
        """
        self.steps_per_epoch(n)
        return self.take(np.sort(epoch_order(len(self), seed, 0)[:n]))

    def take(self, indices: Rows) -> "ImageDataset":
        """The images at some positions, as a data set of its own, without copying them."""
        rows = np.arange(len(self))[self._positions(indices)]
        return self._at(rows, None if self.grid is None else self.grid.take(rows))

    def painted(self, name: str, paint: Paint) -> "ImageDataset":
        """These images, in colours that `paint` gives them when they are read."""
        return replace(self, name=name, paint=paint, shape=(3, *self.shape[1:]))

    def named(self, name: str) -> "ImageDataset":
        """The same images under another name."""
        return replace(self, name=name)

    def split(self, seed: int, held_out: float) -> tuple["ImageDataset", "ImageDataset"]:
        """Training and held-out images, at random.

        Args:
            seed: Decides who is held out.
            held_out: Their share, between 0 and 1.

        Raises:
            ValueError: If one of the parts would be empty.
        """
        n = round(len(self) * held_out)
        if not 0 < n < len(self):
            raise ValueError(
                f"Both parts of a split need images, but a share of {held_out} of "
                f"{len(self)} images is held out."
            )
        order = epoch_order(len(self), seed, 0)
        return self.take(np.sort(order[n:])), self.take(np.sort(order[:n]))

    @property
    def _stored_shape(self) -> tuple[int, int, int]:
        channels = self.stored.shape[1] if self.stored.ndim == 4 else 1
        return self.shape if self.paint is None else (channels, *self.shape[1:])

    def _unpack(self, packed: np.ndarray, device: torch.device | str | None) -> Tensor:
        if device is None or torch.device(device).type == "cpu":
            # `np.take` is twice as fast here as torch's `embedding` or unpacking and converting
            pixels = torch.from_numpy(np.take(_bits_of_bytes(), packed, axis=0))
        else:
            table = torch.from_numpy(_bits_of_bytes()).to(device)
            pixels = table[torch.from_numpy(packed).to(device).int()]
        c, h, w = self._stored_shape
        return pixels.flatten(1)[:, : c * h * w].reshape(-1, c, h, w)

    def _positions(self, indices: Rows) -> np.ndarray:
        if isinstance(indices, slice):
            return np.arange(len(self))[indices]
        return np.asarray(indices, dtype=np.int64)

    def _at(self, rows: np.ndarray, grid: FactorGrid | None) -> "ImageDataset":
        if len(rows) == 0:
            raise ValueError(f"A part of {self.name} must have images, but no image is chosen.")
        stored_rows = rows if self.rows is None else self.rows[rows]
        return replace(self, rows=stored_rows, grid=grid)


def _to_floats(images: np.ndarray, device: torch.device | str | None) -> Tensor:
    return torch.from_numpy(images).to(device).float().mul_(1 / 255)


@cache
def _bits_of_bytes() -> np.ndarray:
    """float32 (256, 8): the bits of every byte, highest first."""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
