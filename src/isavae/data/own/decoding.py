"""One image file to pixels, the same way wherever an image is read."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from isavae.data.own.image_file import (
    LARGE,
    MAX_PIXELS,
    ONE_AT_A_TIME,
    ORIENTATION,
    UnreadableImageError,
    count_pages,
    deep_values,
    open_image,
)
from isavae.data.own.value_range import FULL_RANGE, ValueRange
from isavae.data.safe_reading import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

FITS = ("crop", "pad", "stretch")


class ImageSizeError(ValueError):
    """An image has another size than it must have, and no rule says how to resize it."""


@final
@dataclass(frozen=True, eq=False)
class DecodedImage:
    """Pixels, and what was left out of the file.

    Attributes:
        pixels: uint8, (channels, height, width).
        pages: Pages or frames of the file.
        clips: Whether some values lay outside the range.
        cut: The share of the image that was cut off.
    """

    pixels: np.ndarray
    pages: int
    clips: bool
    cut: float


def decode(
    source: str | bytes,
    size: tuple[int, int] | None,
    fit: str | None,
    channels: int,
    values: ValueRange = FULL_RANGE,
    page: int = 1,
) -> DecodedImage:
    """Decode an image: upright, on white where it is transparent.

    Args:
        source: The path or the bytes of an image file.
        size: Height and width to resize to; None keeps the image's own.
        fit: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores proportions;
            None refuses images of another size.
        channels: 1 for grey, 3 for colour.
        values: The values that become black and white.
        page: Which page or frame, counted from 1.

    Raises:
        UnreadableImageError: If the file is damaged, no image or too large.
        ValueError: For other channels.
        ImageSizeError: If the image has another size and there is no `fit`.
    """
    if channels not in (1, 3):
        raise ValueError(
            f"Image files are read with 1 or 3 channels, but {channels} are wanted: give an array, "
            "such as an .npy file."
        )
    mode = "L" if channels == 1 else "RGB"
    try:
        with open_image(source, page) as opened:
            pages = count_pages(opened)
            image, clips = _converted(opened, source, page, mode, size, values)
    except UnreadableImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
        raise UnreadableImageError(_reason(error, source)) from error
    cut = 0.0
    if size is not None and (image.height, image.width) != size:
        if fit is None:
            given, wanted = (image.height, image.width), size
            raise ImageSizeError("{} x {}, others are {} x {}".format(*given, *wanted))
        cut = share_cut((image.height, image.width), size) if fit == "crop" else 0.0
        image = _resized(image, size, fit)
    pixels = np.asarray(image).reshape(image.height, image.width, channels).transpose(2, 0, 1)
    return DecodedImage(pixels, pages, clips, cut)


def share_cut(given: tuple[int, int], size: tuple[int, int]) -> float:
    """The share of an image of one height and width that cropping to another cuts off.

    Examples:
        >>> share_cut((430, 128), (64, 64)) > 0.7, share_cut((128, 128), (64, 64))
        (True, 0.0)
    """
    given_ratio, wanted_ratio = given[1] / given[0], size[1] / size[0]
    return 1 - min(given_ratio, wanted_ratio) / max(given_ratio, wanted_ratio)


def _resized(image: "Image", size: tuple[int, int], fit: str) -> "Image":
    pil, ops = import_extra("PIL.Image"), import_extra("PIL.ImageOps")
    resize = {"crop": ops.fit, "pad": ops.pad, "stretch": pil.Image.resize}[fit]
    return resize(image, (size[1], size[0]), pil.Resampling.LANCZOS)


def _converted(
    image: "Image",
    source: str | bytes,
    page: int,
    mode: str,
    size: tuple[int, int] | None,
    values: ValueRange,
) -> tuple["Image", bool]:
    """An image in a mode of 8 bits, and whether values lay outside the range."""
    if size and image.format == "JPEG":  # decode at a fraction, never below twice the target
        image.draft(None, (2 * size[1], 2 * size[0]))
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImageError("more pixels than are safe to decode")
    with ONE_AT_A_TIME if image.width * image.height > LARGE else nullcontext():
        turn = _turn(image)
        image, clips = _in_bytes(image, source, page, values)
        image = image if turn is None else image.transpose(turn)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = import_extra("PIL.Image").new("RGBA", image.size, "white")
            white.alpha_composite(image)
            image = white
        image.load()
        return (image if image.mode == mode else image.convert(mode)), clips


def _in_bytes(
    image: "Image", source: str | bytes, page: int, values: ValueRange
) -> tuple["Image", bool]:
    """An image with 8 bits per channel by the range, and whether it clips some values."""
    stored = deep_values(image, source, page)
    if stored is None:
        if values.byte == FULL_RANGE.byte:
            return image, False
        is_grey = image.mode in ("1", "L") and not image.has_transparency_data
        stored = np.asarray(image.convert("L" if is_grey else "RGBA"))
    colours = stored[..., :3] if stored.ndim == 3 else stored
    pixels = values.to_bytes(colours)
    if stored.ndim == 3 and stored.shape[2] == 4:
        pixels = np.dstack([pixels, FULL_RANGE.to_bytes(stored[..., 3])])
    return import_extra("PIL.Image").fromarray(pixels), values.clips(colours)


def _turn(image: "Image") -> "Transpose | None":
    """What turns an image upright, by its Exif tag."""
    if "exif" not in image.info and image.format != "TIFF":
        return None
    ways = import_extra("PIL.Image").Transpose
    upright = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_270,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_90,
    }
    return upright.get(image.getexif().get(ORIENTATION, 1))


def _reason(error: Exception, source: str | bytes) -> str:
    """Why an image cannot be read, in one line without its path."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "no image, or a damaged one"
    if type(error).__name__ == "DecompressionBombError":
        return "more pixels than are safe to decode"
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(source, str):
        reason = reason.replace(repr(source), "it").replace(source, "it")
    return " ".join(reason.split()) or type(error).__name__
