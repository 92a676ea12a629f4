"""The values of an image file as they are stored: 8, 16 or 32 bits, integers or floats."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from isavae.data.own.image_claims import UnreadableImageError
from isavae.data.own.image_file import (
    BIG,
    BITS,
    BYTES,
    LITTLE,
    NATIVE,
    ImageFile,
    open_image,
    rawmode,
    tag,
)
from isavae.data.own.tiff_file import TiffPage

if TYPE_CHECKING:
    from PIL.Image import Image

# Pixels that are copied or converted at a time.
AT_ONCE = 1 << 22
# Numbers of tags, and what they hold.
SAMPLE_FORMAT, PHOTOMETRIC = 339, 262
SIGNED, WHITE_IS_ZERO = 2, 0


def stored_values(file: ImageFile, page: int = 1) -> np.ndarray:
    """All channels of a page as they are stored, transparency and inks too.

    Returns:
        Shape (height, width, channels).

    Raises:
        UnreadableImageError: If some value is not finite.
    """
    image = file.at(page)
    values = deep_values(image, file, page)
    if values is None:
        assert not isinstance(image, TiffPage)  # its values are never None
        plain = {"1": "L", "P": "RGBA" if image.has_transparency_data else "RGB", "PA": "RGBA"}
        values = np.asarray(image.convert(plain.get(image.mode, image.mode)))
    return values if values.ndim == 3 else values[..., None]


def deep_values(image: "Image | TiffPage", file: ImageFile, page: int = 1) -> np.ndarray | None:
    """The values of an image that Pillow does not convert to 8 bits rightly; None for others.

    Args:
        image: The page of the file, not decoded yet.
        file: The file.
        page: The number of the page.

    Returns:
        Shape (height, width), or (height, width, channels) for colour.

    Raises:
        UnreadableImageError: If some value is not finite.
    """
    values = image.read() if isinstance(image, TiffPage) else _deep(image, file, page)
    if values is not None and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnreadableImageError("has values that are not finite numbers")
    if values is None or isinstance(image, TiffPage) or "transparency" not in image.info:
        return values
    is_clear = (values.reshape(*values.shape[:2], -1) == image.info["transparency"]).all(2)
    alpha = np.full(is_clear.shape, np.iinfo(values.dtype).max, values.dtype)
    alpha[is_clear] = 0
    return np.dstack([values, alpha])


def _deep(image: "Image", file: ImageFile, page: int) -> np.ndarray | None:
    if image.mode in ("RGB", "RGBA") and rawmode(image).removeprefix(image.mode) in BYTES:
        return _both_bytes(image, file, page)
    is_tiff = image.format == "TIFF"
    is_white = is_tiff and tag(image, PHOTOMETRIC) == WHITE_IS_ZERO
    if is_tiff and image.mode == "L" and tag(image, SAMPLE_FORMAT) == SIGNED:
        return np.asarray(image).view(np.int8)
    if image.mode == "F" and is_white:
        raise UnreadableImageError("has floats with 0 as white, but no black: invert them")
    if image.mode != "F" and not image.mode.startswith("I"):
        return None
    values = np.asarray(image)
    if is_white:
        return np.iinfo(values.dtype).max - values
    if image.mode == "I":
        bits, sign = (tag(image, BITS), tag(image, SAMPLE_FORMAT)) if is_tiff else (16, 1)
        if sign != SIGNED and bits == 32:
            return values.view(np.uint32)
        return values.astype(f"{'i' if sign == SIGNED else 'u'}{bits // 8}")
    return values


def _both_bytes(image: "Image", file: ImageFile, page: int) -> np.ndarray:
    """Colours with all of their 16 bits: decoded once for the upper bytes, once for the lower.

    Some rows at a time: at its largest an image would take three times as much memory.
    """
    values = np.empty((image.height, image.width, len(image.getbands())), np.uint16)
    order = rawmode(image).removeprefix(image.mode)
    is_little = order == LITTLE or (order == NATIVE and sys.byteorder == "little")
    other = image.mode + (BIG if is_little else LITTLE)
    with open_image(file.source, page) as lower:
        assert not isinstance(lower, TiffPage)  # the same file, opened again
        lower.tile = [  # pyrefly: ignore[missing-attribute]
            type(tile)(*tile[:3], (other, *tile[3][1:]) if isinstance(tile[3], tuple) else other)
            for tile in lower.tile  # pyrefly: ignore[missing-attribute]
        ]
        for rows, part in in_rows(lower):
            values[rows] = np.asarray(part)
    for rows, part in in_rows(image):
        values[rows] |= np.asarray(part).astype(np.uint16) << 8
    return values


def in_rows(image: "Image | np.ndarray") -> "Iterator[tuple[slice, Image | np.ndarray]]":
    """Some rows of an image or of its values at a time, and which rows these are."""
    width, height = image.shape[1::-1] if isinstance(image, np.ndarray) else image.size
    count = max(1, AT_ONCE // width)
    for top in range(0, height, count):
        rows = slice(top, min(top + count, height))
        if isinstance(image, np.ndarray):
            yield rows, image[rows]
        else:
            yield rows, image.crop((0, top, width, rows.stop))
