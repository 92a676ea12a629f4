"""One image file as it is stored: the only place that opens image files."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from isavae.data.safe_reading import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

# The formats that are read, and their suffixes. No others are tried: some start other programs.
FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "AVIF": (".avif",),
    "TGA": (".tga",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
PNG = b"\x89PNG\r\n\x1a\n"
# An image with more pixels is refused; decoding one takes up to 25 bytes per pixel.
MAX_PIXELS = 1 << 26
# Images with more pixels are decoded one at a time.
LARGE = 1 << 24
ONE_AT_A_TIME = Lock()
# Numbers of tags.
ORIENTATION, BITS, SAMPLES, SAMPLE_FORMAT = 0x0112, 258, 277, 339
SIGNED = 2


def is_image_file(path: Path) -> bool:
    """Whether a file has the suffix of an image."""
    return path.name.lower().endswith(SUFFIXES)


class UnreadableImageError(ValueError):
    """An image cannot be decoded; the message gives the reason in one line."""


@contextmanager
def open_image(source: str | bytes, page: int = 1) -> Iterator["Image"]:
    """Open an image file of one of `FORMATS`, given by its path or its bytes, at a page.

    Raises:
        OSError: If it is none.
        UnreadableImageError: If it has no such page, or channels that would be dropped.
    """
    if isinstance(source, str) and not stat.S_ISREG(os.stat(source).st_mode):
        raise UnreadableImageError("not a regular file")
    _verify_png(source)
    with _open(source) as image:
        pages = count_pages(image)
        if page > pages:
            raise UnreadableImageError(f"has no page {page}, but {pages}")
        if page > 1:
            image.seek(page - 1)
        _check_channels(image)
        yield image


def _verify_png(source: str | bytes) -> None:
    """Check the sums of a PNG file, which Pillow does not do when it decodes one."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            start = file.read(len(PNG))
    else:
        start = source[: len(PNG)]
    if start != PNG:
        return
    with _open(source) as image:
        try:
            image.verify()
        except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
            raise UnreadableImageError("no image, or a damaged one") from error


def _open(source: str | bytes) -> "Image":
    pil = import_extra("PIL.Image")
    pil.init()
    # TGA files have no signature: other files may look like one.
    tga = isinstance(source, str) and source.lower().endswith(FORMATS["TGA"])
    formats = [name for name in FORMATS if name in pil.OPEN and (tga or name != "TGA")]
    return pil.open(BytesIO(source) if isinstance(source, bytes) else source, "r", formats)


def count_pages(image: "Image") -> int:
    """Pages or frames; 1 for a photograph with previews of itself."""
    return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


def deep_values(image: "Image", source: str | bytes, page: int = 1) -> np.ndarray | None:
    """The values of an image with more than 8 bits per channel; None for others.

    Args:
        image: The image, opened but not decoded.
        source: Where it was opened from.
        page: The page.

    Returns:
        Shape (height, width), or (height, width, channels) for colour.

    Raises:
        UnreadableImageError: If some value is not finite.
    """
    if image.mode in ("RGB", "RGBA") and _rawmode(image).removeprefix(image.mode) in BYTES:
        return _both_bytes(image, source, page)
    is_tiff = image.format == "TIFF"
    if is_tiff and image.mode == "L" and _tag(image, SAMPLE_FORMAT) == SIGNED:
        return np.asarray(image).view(np.int8)
    if image.mode != "F" and not image.mode.startswith("I"):
        return None
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnreadableImageError("has values that are not finite numbers")
    if image.mode == "I":
        bits, sign = (_tag(image, BITS), _tag(image, SAMPLE_FORMAT)) if is_tiff else (16, 1)
        if sign != SIGNED and bits == 32:
            return values.view(np.uint32)
        return values.astype(f"{'i' if sign == SIGNED else 'u'}{bits // 8}")
    return values


def _check_channels(image: "Image") -> None:
    """Refuse channels, or bits of them, that Pillow would drop."""
    if image.format == "TIFF" and (samples := _tag(image, SAMPLES)) > len(image.getbands()):
        raise UnreadableImageError(
            f"has {samples} channels, and only grey and colour are read from image files: give an "
            "array, such as an .npy file"
        )
    rawmode = _rawmode(image)
    whole = image.mode.startswith("I") or rawmode.removeprefix(image.mode) in BYTES
    if "16" in rawmode and not whole:
        raise UnreadableImageError(
            f"has 16 bits per channel as {rawmode}, which is not read: save it as grey or RGB"
        )


def _tag(image: "Image", number: int) -> int:
    """The first value of a TIFF tag, 1 where it is missing."""
    value = image.tag_v2.get(number, 1)  # pyrefly: ignore[missing-attribute]
    return value[0] if isinstance(value, tuple) else value


# What Pillow calls 16 bits per channel of which it keeps the upper byte: little-endian, big-endian
# or native. Asked for the other order, it keeps the lower one.
LITTLE, BIG, NATIVE = ";16L", ";16B", ";16N"
BYTES = (LITTLE, BIG, NATIVE)


def _rawmode(image: "Image") -> str:
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _both_bytes(image: "Image", source: str | bytes, page: int) -> np.ndarray:
    """Colours with all of their 16 bits: decoded once for the upper bytes, once for the lower."""
    order = _rawmode(image).removeprefix(image.mode)
    is_little = order == LITTLE or (order == NATIVE and sys.byteorder == "little")
    other = image.mode + (BIG if is_little else LITTLE)
    with open_image(source, page) as lower:
        lower.tile = [  # pyrefly: ignore[missing-attribute]
            type(tile)(*tile[:3], (other, *tile[3][1:]) if isinstance(tile[3], tuple) else other)
            for tile in lower.tile  # pyrefly: ignore[missing-attribute]
        ]
        low = np.asarray(lower).astype(np.uint16)
    return np.asarray(image).astype(np.uint16) * 256 + low
