"""Statistics of a user's own images, before anything is trained on them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from isavae.data.catalog import load_path
from isavae.data.dataset import ImageDataset
from isavae.data.own.find_preprocessing import image_sizes
from isavae.data.own.image_listing import image_files
from isavae.data.tiles import png, tile
from isavae.errors import counted
from isavae.files import atomic_write


@final
@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of a folder or an array of images.

    Args:
        path: The folder or file.
        dataset: The images as they would be used; None if they cannot be read so.
        problem: Why they cannot be read; empty if they can.
        sizes: The number of files of each width and height, for a folder; 0 x 0 for unreadable
            files.
        duplicates: The number of images that repeat an earlier one, pixel for pixel.
        low: The smallest pixel value of a sample, 0..1.
        high: The largest pixel value of a sample, 0..1.
    """

    path: Path
    dataset: ImageDataset | None
    problem: str
    sizes: dict[tuple[int, int], int]
    duplicates: int = 0
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        lines = [str(self.path)]
        for (width, height), count in sorted(self.sizes.items(), key=lambda one: -one[1])[:8]:
            size = f"{width} x {height} (width x height)" if width else "a size that cannot be read"
            lines.append(f"  {counted(count, 'file')} of {size}")
        if self.dataset is None:
            return "\n".join([*lines, f"  {self.problem}"])
        c, h, w = self.dataset.shape
        kind = "binary, one bit a pixel" if self.dataset.is_binary else "one byte a value"
        lines += [
            f"  would be used as {counted(len(self.dataset), 'image')} of {c} x {h} x {w} "
            "(channels x height x width)",
            f"  kept as {kind}, {self.dataset.stored.nbytes / 1e6:,.1f} MB",
            f"  values from {self.low:.3f} to {self.high:.3f} in a sample",
            f"  {self.duplicates:,} {'repeats' if self.duplicates == 1 else 'repeat'} an earlier "
            "image exactly",
            *(f"  {note}" for note in self.dataset.notes),
        ]
        if (grid := self.dataset.grid) is not None:
            lines += [f"  {line}" for line in grid.counts()]
        return "\n".join(lines)


def inspect(path: Path, options: str = "", sheet: Path | None = None) -> ImageStatistics:
    """Read images and gather their statistics.

    Args:
        path: The folder or file.
        options: How to read it, as in brackets after a path: `size=64, fit=crop`.
        sheet: Where to save a contact sheet.

    Raises:
        ValueError: If there is nothing at `path`.
    """
    if not path.exists():
        raise ValueError(f"There must be a folder or a file to inspect, but {path} is not there.")
    sizes = Counter(image_sizes(image_files(path))) if path.is_dir() else {}
    try:
        dataset = load_path(path, options)
    except ValueError as problem:
        return ImageStatistics(path, None, str(problem), sizes)
    if sheet is not None:
        with atomic_write(sheet) as file:
            file.write(png(contact_sheet(dataset)))
    sample = dataset.batch(np.unique(np.linspace(0, len(dataset) - 1, 256).astype(np.int64)))
    return ImageStatistics(
        path, dataset, "", sizes, _duplicates(dataset), float(sample.min()), float(sample.max())
    )


def contact_sheet(dataset: ImageDataset, columns: int = 16, rows: int = 8) -> np.ndarray:
    """Images evenly spaced through a data set, side by side.

    Args:
        dataset: The images.
        columns: Images per row.
        rows: The largest number of rows.

    Returns:
        uint8, shape (height, width), or (height, width, 3) for RGB images.
    """
    some = np.linspace(0, len(dataset) - 1, min(columns * rows, len(dataset))).astype(np.int64)
    return tile(dataset.shown(dataset.batch(some)), columns, gap=0)


def _duplicates(dataset: ImageDataset) -> int:
    """The number of images whose stored bytes occurred before."""
    seen = {hash(image.tobytes()) for image in dataset.stored}
    return len(dataset.stored) - len(seen)
