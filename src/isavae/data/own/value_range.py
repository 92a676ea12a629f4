"""`ValueRange`: which stored values of an image become black and white."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import UInt8

# A range that values nearly fill is taken for the full range of their source: this share of it.
COVERED = 0.25
# The tolerance of a full range, relative to its length: 1.0000001 is 1.
ROUNDING = 1e-5
# Values that are scaled at a time.
AT_ONCE = 1 << 20
NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"


@final
@dataclass(frozen=True)
class ValueRange:
    """The stored values that become black and white, for all images of a data set.

    Args:
        byte: Those of images with 8 bits per channel.
        deep: Those of all other images; None for the range of each image's own type, which is
            0 to 1 for floats.

    Examples:
        >>> values = np.array([0, 2048, 4095, 5000], np.uint16)
        >>> ValueRange(deep=(0.0, 4095.0)).to_bytes(values)
        array([  0, 128, 255, 255], dtype=uint8)
        >>> ValueRange().to_bytes(np.array([0.0, 0.5, 1.0]))
        array([  0, 128, 255], dtype=uint8)
    """

    byte: tuple[float, float] = (0.0, 255.0)
    deep: tuple[float, float] | None = None

    def of(self, dtype: np.dtype) -> tuple[float, float]:
        """Black and white of values of a type."""
        if dtype == np.uint8 or dtype.kind == "b":
            return self.byte
        return self.deep or _full_range(dtype)

    def to_bytes(self, values: np.ndarray) -> UInt8[np.ndarray, "..."]:
        """Values as 0..255; those outside the range become 0 or 255."""
        low, high = self.of(values.dtype)
        if values.dtype == np.uint8 and (low, high) == (0, 255):
            return values
        given, found = values.reshape(-1), np.empty(values.size, np.uint8)
        for first in range(0, given.size, AT_ONCE):  # as float64 an image has eight times the bytes
            some = slice(first, first + AT_ONCE)
            scaled = (given[some].astype(np.float64) - low) * (255 / (high - low))
            found[some] = np.rint(scaled.clip(0, 255))
        return found.reshape(values.shape)

    def clips(self, values: np.ndarray) -> bool:
        """Whether some values lie outside the range by more than rounding."""
        low, high = self.of(values.dtype)
        slack = ROUNDING * (high - low)
        return bool(values.min() < low - slack or values.max() > high + slack)


def _full_range(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "f":
        return 0.0, 1.0
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


# Every image by its own type.
FULL_RANGE = ValueRange()


def parse_range(text: str) -> ValueRange | None:
    """The range that an option asks for; None for `auto`.

    Args:
        text: `auto`, `dtype` (the range of each image's type, 0 to 1 for floats) or `a..b`.

    Raises:
        ValueError: If it is none of them.

    Examples:
        >>> parse_range("0..4095")
        ValueRange(byte=(0.0, 4095.0), deep=(0.0, 4095.0))
    """
    if text in ("auto", "dtype"):
        return None if text == "auto" else FULL_RANGE
    match = re.fullmatch(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*", text, re.IGNORECASE)
    if match is None or not float(match[1]) < float(match[2]) < np.inf:
        raise ValueError(
            "The option range must be auto, dtype, or two numbers such as 0..4095, the smaller "
            f"first, but is {text!r}."
        )
    limits = float(match[1]), float(match[2])
    return ValueRange(limits, limits)


def natural_range(low: float, high: float) -> tuple[float, float]:
    """The range of a source whose values reach from `low` to `high`.

    It is 0 to 1, -1 to 1, or that of 8 to 16 bits, if the values lie within and cover a quarter of
    it; otherwise it is `low` to `high`.

    Examples:
        >>> natural_range(3.0, 4090.0), natural_range(0.1, 1.0000001), natural_range(-0.9, 1.0)
        ((0.0, 4095.0), (0.0, 1.0), (-1.0, 1.0))
        >>> natural_range(1000.0, 1400.0), natural_range(250.5, 310.2)
        ((1000.0, 1400.0), (250.5, 310.2))
    """
    bits = [(0.0, 2.0**b - 1) for b in range(8, 17)]
    for bottom, top in [(0.0, 1.0), (-1.0, 1.0), *bits]:
        slack = ROUNDING * (top - bottom)
        within = bottom - slack <= low and high <= top + slack
        if within and high - low >= COVERED * (top - bottom):
            return bottom, top
    return low, high if high > low else low + 1


def describe_range(
    values: ValueRange, n_clipped: int, dtypes: Iterable[np.dtype] = ()
) -> list[str]:
    """What a range does to images, one sentence each.

    Args:
        values: The range.
        n_clipped: The number of images with values outside it.
        dtypes: The types of the values.
    """
    said = {"more than 8 bits": values.deep}
    if values.byte != FULL_RANGE.byte:
        said["8 bits"] = values.byte
    found = [
        f"In images of {kind}, {limits[0]:g} becomes black and {limits[1]:g} white."
        for kind, limits in said.items()
        if limits is not None
    ]
    for dtype in dtypes:
        if values.deep is None and dtype.kind in "iu" and dtype != np.uint8:
            low, high = values.of(dtype)
            found.append(
                f"Images of {dtype.name} are scaled by their type: {low:.0f} becomes black and "
                f"{high:.0f} white."
            )
    if n_clipped:
        verb = "has" if n_clipped == 1 else "have"
        found.append(
            f"{n_clipped:,} of the images {verb} values beyond, which become black or white."
        )
    return found
