"""`ImageDataset`: many images of one size, packed, with the factors behind them if known."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from isavae.data.classes import Choice
from isavae.data.conversion import Collection, Items, as_images, pack, read_items, unpack
from isavae.data.factor_columns import as_grid
from isavae.data.factors import FactorGrid
from isavae.data.memory import free_memory
from isavae.data.minibatches import DeviceImages
from isavae.data.order import epoch_order
from isavae.data.own.preprocessing import Preprocessing
from isavae.errors import counted

# Images and their rows -> colour images.
Colourise: TypeAlias = Callable[[Tensor, np.ndarray], Tensor]
Rows: TypeAlias = Sequence[int] | np.ndarray | Tensor | slice


@final
@dataclass(frozen=True, eq=False, init=False)
class ImageDataset:
    """Images in memory or memory-mapped, read in batches of floats in [0, 1].

    A data set can be indexed and iterated, so that `DataLoader`, `random_split` and `imshow` take
    it. An item is an image, float32 of shape (channels, height, width); the factors behind image k
    are `grid.values(k)`. A data set does not change.

    Args:
        images: (n, h, w) or (n, channels, h, w), perhaps one by one in a list or generator, or
            Pillow images: bool, uint8 (0..255, or binary if all are 0 or 1) or floats in [0, 1],
            which are rounded to 8 bits unless all are 0 or 1.
        factors: The factors, as for `isavae.Codes`: a grid, or a mapping, a DataFrame or an
            Arrow table with one value per image for each factor's name.
        name: The name of the data set.

    Attributes:
        name: The name of the data set.
        stored: The images as `from_stored` takes them.
        shape: (channels, height, width).
        grid: The factors of every image, where known.
        rows: Which of the stored images belong to the data set, in order; None for all.
        shuffle_block: How many neighbouring images stay together when an epoch is shuffled.
        colourise: Makes colour images of the stored ones and their rows when a batch is read.
        preprocessing: How images of a folder were read; None for others.
        notes: What reading changed or left out, one sentence each.
        fingerprint: Changes with the stored images; empty for those in memory.

    Raises:
        ValueError: If the shape, type or range is none of these.

    Examples:
        >>> data = ImageDataset(np.eye(8, dtype=np.uint8)[None].repeat(6, 0))
        >>> len(data), data.shape, data.is_binary
        (6, (1, 8, 8), True)
        >>> data.minibatch(seed=0, step=2, batch_size=3).shape
        torch.Size([3, 1, 8, 8])
        >>> data[0].shape, sum(1 for image in data)
        (torch.Size([1, 8, 8]), 6)
        >>> ImageDataset(np.zeros((3, 8, 8)), {"size": [1, 2, 1]}).grid.sizes
        (2,)
    """

    name: str
    stored: np.ndarray
    shape: tuple[int, int, int]
    grid: FactorGrid | None
    rows: np.ndarray | None
    shuffle_block: int
    colourise: Colourise | None
    preprocessing: Preprocessing | None
    notes: tuple[str, ...]
    fingerprint: str
    _on_devices: dict[torch.device, DeviceImages | None]

    def __init__(
        self,
        images: Collection,
        factors: FactorGrid | Mapping[str, Any] | ArrayLike | Tensor | None = None,
        name: str = "images",
    ):
        stored, shape = pack(as_images(images))
        self._hold(name, stored, shape, as_grid(factors))

    @classmethod
    def from_stored(
        cls,
        name: str,
        stored: np.ndarray,
        shape: tuple[int, int, int],
        grid: FactorGrid | None = None,
        **more: Any,
    ) -> "ImageDataset":
        """A data set of images as they are stored, which are not copied.

        Args:
            name: The name of the data set.
            stored: uint8, either (images, channels, height, width) with values 0..255, or for
                binary images (images, bytes): the pixels eight a byte, the first in the highest
                bit.
            shape: (channels, height, width).
            grid: The factors of every image, where known.
            **more: Other attributes by name. `rows` beyond the last begin again with the first:
                images that `colourise` makes of one image. A `shuffle_block` of more than 1 is for
                data that do not fit into memory (see `epoch_order`).

        Raises:
            ValueError: If the images are stored in another way, or factors have other rows.
        """
        data = cls.__new__(cls)
        data._hold(name, stored, shape, grid, **more)
        return data

    def _hold(
        self,
        name: str,
        stored: np.ndarray,
        shape: tuple[int, int, int],
        grid: FactorGrid | None = None,
        rows: np.ndarray | None = None,
        shuffle_block: int = 1,
        colourise: Colourise | None = None,
        preprocessing: Preprocessing | None = None,
        notes: tuple[str, ...] = (),
        fingerprint: str = "",
    ) -> None:
        vars(self).update(
            name=name,
            stored=stored,
            shape=shape,
            grid=grid,
            rows=rows,
            shuffle_block=shuffle_block,
            colourise=colourise,
            preprocessing=preprocessing,
            notes=notes,
            fingerprint=fingerprint,
            _on_devices={},
        )
        c, h, w = self._stored_shape
        packed = (-(-c * h * w // 8),)
        if stored.dtype != np.uint8 or stored.shape[1:] not in (packed, (c, h, w)):
            raise ValueError(
                f"Stored images must be uint8 of shape (images, {packed[0]}) or "
                f"(images, {c}, {h}, {w}), but are {stored.dtype} of shape {stored.shape}: give "
                "other images to `ImageDataset`."
            )
        if grid is not None and len(grid) != len(self):
            raise ValueError(
                f"Factors must have one row per image, but have {counted(len(grid), 'row')} for "
                f"{counted(len(self), 'image')}: give a mapping from names to values, or "
                "a grid with `labels`."
            )

    @classmethod
    def from_torch(cls, dataset: Items, name: str = "images") -> "ImageDataset":
        """Read all of a torch data set into memory.

        Args:
            dataset: Items are images as for `ImageDataset` or of Pillow, sequences that begin with
                one, or mappings with one under `image`, `img`, `pixel_values` or `x`. Numbers and
                text beside it become factors: `label` after the image of a sequence, `entry_2`, ...
                after it, the keys of a mapping; vectors become one factor per position. Other
                entries are left out, with a warning.
            name: The name of the data set.

        Raises:
            ValueError: If items are not images of one size with the same entries.
        """
        images, grid = read_items(dataset, name)
        return cls(images, grid, name)

    def __len__(self) -> int:
        return len(self.stored) if self.rows is None else len(self.rows)

    def __getitem__(self, index: SupportsIndex) -> Float[Tensor, "c h w"]:
        k = operator.index(index)
        if not -len(self) <= k < len(self):
            raise IndexError(
                f"The index must be in {-len(self)}..{len(self) - 1}, the images of {self.name}, "
                f"but is {k}."
            )
        return self.batch([k])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Float[Tensor, "c h w"]]:
        """The items of a minibatch, for `DataLoader`."""
        return list(self.batch(indices))

    def __iter__(self) -> Iterator[Float[Tensor, "c h w"]]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        c, h, w = self.shape
        factors = "" if self.grid is None else f", factors {', '.join(self.grid.names)}"
        return f"ImageDataset({self.name}: {counted(len(self), 'image')}, {c} x {h} x {w}{factors})"

    def shown(self, images: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n shown h w"]:
        """Those channels of images that the option `show` names; by default all."""
        return images if self.preprocessing is None else self.preprocessing.shown(images)

    @property
    def is_binary(self) -> bool:
        """Whether every pixel is 0 or 1, stored as one bit."""
        return self.stored.ndim == 2 and self.colourise is None

    def batch(
        self, indices: Rows, device: torch.device | str | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Read some images as float32 in [0, 1].

        Args:
            indices: Positions in the data set.
            device: The device of the result; packed images are unpacked there.
        """
        positions = self._positions(indices)
        rows = positions if self.rows is None else self.rows[positions]
        chosen = np.ascontiguousarray(self.stored[rows % len(self.stored)])
        images = unpack(chosen, self._stored_shape, device)
        return images if self.colourise is None else self.colourise(images, rows)

    def steps_per_epoch(self, batch_size: int) -> int:
        """The number of whole minibatches in an epoch.

        Raises:
            ValueError: If the data set is smaller than one minibatch.
        """
        if not 1 <= batch_size <= len(self):
            raise ValueError(
                f"The batch size must be in 1..{len(self)}, the images of {self.name}, "
                f"but is {batch_size}."
            )
        return len(self) // batch_size

    def minibatch(
        self, seed: int, step: int, batch_size: int, device: torch.device | str | None = None
    ) -> Float[Tensor, "batch_size c h w"]:
        """The minibatch of a step: a pure function of (seed, step, batch_size).

        Each epoch visits the images in a new order, without replacement; the images that do not
        fill a last minibatch are left out of that epoch. The first minibatch on a GPU copies all
        images there, packed, if they take at most half of its free memory.

        Args:
            seed: The run's seed.
            step: Counts from 0, through all epochs.
            batch_size: Images per minibatch.
            device: The device of the result.

        Raises:
            ValueError: If the data set is smaller than one minibatch.
        """
        epoch, position = divmod(step, self.steps_per_epoch(batch_size))
        positions = slice(position * batch_size, (position + 1) * batch_size)
        on_device = self._images_on(torch.device(device or "cpu"))
        if on_device is not None:
            return on_device.minibatch(seed, epoch, positions)
        order = epoch_order(len(self), seed, epoch, self.shuffle_block)
        return self.batch(order[positions], device)

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

        Args:
            n: Number of images.
            seed: Seed of the choice.

        Raises:
            ValueError: If the data set has fewer than n images.
        """
        self.steps_per_epoch(n)
        return self.take(np.sort(epoch_order(len(self), seed, 0)[:n]))

    def take(self, indices: Rows) -> "ImageDataset":
        """The images at some positions, as a data set of its own, without copying them."""
        rows = np.arange(len(self))[self._positions(indices)]
        return self._at(rows, None if self.grid is None else self.grid.take(rows))

    def named(self, name: str) -> "ImageDataset":
        """The same images under another name."""
        return self.with_changes(name=name)

    def split(self, seed: int, held_out: float) -> tuple["ImageDataset", "ImageDataset"]:
        """Split at random into training and held-out images.

        Args:
            seed: The seed of the choice.
            held_out: The share of held-out images, between 0 and 1.

        Raises:
            ValueError: If one of the parts would be empty.
        """
        training, others = self.split_positions(seed, held_out)
        return self.take(training), self.take(others)

    def split_positions(self, seed: int, held_out: float) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the images of `split`, each in order.

        Args:
            seed: Seed of the choice.
            held_out: Share of the second part, between 0 and 1.

        Raises:
            ValueError: If a part would be empty.
        """
        n = round(len(self) * held_out)
        if not 0 < n < len(self):
            raise ValueError(
                f"Both parts of a split need images, but a share of {held_out} of "
                f"{len(self)} images is held out: choose another share."
            )
        order = epoch_order(len(self), seed, 0)
        return np.sort(order[n:]), np.sort(order[:n])

    def _images_on(self, device: torch.device) -> DeviceImages | None:
        """The images on a device where they live, which is not the CPU; None elsewhere."""
        if device.type == "cpu" or self.colourise is not None or self.shuffle_block > 1:
            return None
        if device not in self._on_devices:
            size = len(self) * math.prod(self.stored.shape[1:])
            fits = 2 * size <= free_memory(device)
            self._on_devices[device] = self._copied_to(device) if fits else None
        return self._on_devices[device]

    def _copied_to(self, device: torch.device) -> DeviceImages:
        images = np.array(self.stored) if self.rows is None else self.stored[self.rows]
        return DeviceImages(images, self.shape, device)

    @property
    def _stored_shape(self) -> tuple[int, int, int]:
        channels = self.stored.shape[1] if self.stored.ndim == 4 else 1
        return self.shape if self.colourise is None else (channels, *self.shape[1:])

    def _positions(self, indices: Rows) -> np.ndarray:
        if isinstance(indices, slice):
            return np.arange(len(self))[indices]
        return np.asarray(indices, dtype=np.int64)

    def _at(self, rows: np.ndarray, grid: FactorGrid | None) -> "ImageDataset":
        if len(rows) == 0:
            raise ValueError(f"A part of {self.name} must have images, but no image is chosen.")
        stored_rows = rows if self.rows is None else self.rows[rows]
        return self.with_changes(rows=stored_rows, grid=grid)

    def with_changes(self, **changes: Any) -> "ImageDataset":
        """The same stored images with other attributes, by their names; nothing is copied."""
        held = {name: value for name, value in vars(self).items() if name != "_on_devices"}
        return self.from_stored(**(held | changes))
