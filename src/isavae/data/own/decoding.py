"""One image file to pixels, the same way wherever an image is read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import UInt8

from isavae.data.own.image_file import (
    ImageFile,
    UnreadableImageError,
    count_channels,
    count_pages,
    opening,
    orientation,
    room_for,
)
from isavae.data.own.image_values import deep_values, in_rows, stored_values
from isavae.data.own.tiff_file import TiffPage
from isavae.data.own.value_range import FULL_RANGE, ValueRange
from isavae.data.safe_reading import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

# What is done with other proportions: cut off, filled up, or stretched.
FITS = ("crop", "pad", "stretch")
DEFAULT_FIT = "crop"
# The option `pages` for all pages of a file as the channels of one image.
AS_CHANNELS = "channels"


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
        dtype: The type of the stored values.
    """

    pixels: np.ndarray
    pages: int
    clips: bool
    cut: float
    dtype: np.dtype


def decode(
    source: str | bytes | ImageFile,
    size: tuple[int, int] | None,
    fit: str | None,
    channels: int,
    values: ValueRange = FULL_RANGE,
    page: int | str = 1,
) -> DecodedImage:
    """Decode an image: upright, on white where it is transparent.

    With other channels than 1 and 3 they are read as they are stored, transparency and inks too.

    Args:
        source: An image file, or its path or bytes.
        size: Height and width to resize to; None keeps the image's own.
        fit: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores proportions;
            None refuses images of another size.
        channels: 1 for grey, 3 for colour, or the number of channels that must be stored.
        values: The values that become black and white.
        page: Which page or frame, counted from 1, or `channels` for all of them as channels.

    Raises:
        UnreadableImageError: If the file is damaged, no image, too large or has other channels.
        ImageSizeError: If the image has another size and there is no `fit`.
    """
    try:
        with opening(source) as file:
            opened = file.at(page if isinstance(page, int) else 1)
            pages = 1 if page == AS_CHANNELS else count_pages(opened)
            if isinstance(page, int) and channels in (1, 3):
                if (found := count_channels(opened)) not in (0, 3):
                    _check_number(found, channels)
                mode = "L" if channels == 1 else "RGB"
                image, clips, dtype = _converted(opened, file, page, mode, size, values)
                planes = [image]
            else:
                planes, clips, dtype = _planes(opened, file, page, channels, values)
    except UnreadableImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
        raise UnreadableImageError(_reason(error, source)) from error
    cut, given = 0.0, (planes[0].height, planes[0].width)
    if size is not None and given != size:
        if fit is None:
            raise ImageSizeError("{} x {}, others are {} x {}".format(*given, *size))
        cut = share_cut(given, size) if fit == "crop" else 0.0
        planes = [_resized(plane, size, fit) for plane in planes]
    pixels = np.dstack([np.asarray(plane) for plane in planes]).transpose(2, 0, 1)
    return DecodedImage(pixels, pages, clips, cut, dtype)


def resize(
    pixels: UInt8[np.ndarray, "channels height width"], size: tuple[int, int], fit: str
) -> UInt8[np.ndarray, "channels tall wide"]:
    """The pixels of an array as an image file's would be resized, channel by channel."""
    image = import_extra("PIL.Image")
    planes = [_resized(image.fromarray(plane), size, fit) for plane in pixels]
    return np.stack([np.asarray(plane) for plane in planes])


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


def read_channels(source: str | ImageFile, page: int | str) -> np.ndarray:
    """The channels of a page, or of all pages, as they are stored: (height, width, channels).

    Raises:
        UnreadableImageError: If pages differ in size or type, or are too large together.
    """
    with opening(source) as file:
        image = file.at(page if isinstance(page, int) else 1)
        numbers = [page] if isinstance(page, int) else range(1, count_pages(image) + 1)
        with room_for(image, len(numbers)):
            pages = [stored_values(file, number) for number in numbers]
    if len({(page.shape[:2], page.dtype) for page in pages}) > 1:
        raise UnreadableImageError("has pages that differ in size or type, and are no channels")
    return np.concatenate(pages, axis=2)


def _planes(
    image: "Image | TiffPage",
    file: ImageFile,
    page: int | str,
    channels: int,
    values: ValueRange,
) -> "tuple[list[Image], bool, np.dtype]":
    """The stored channels as grey images, whether values lay outside the range, their type."""
    turn = orientation(image)
    stored = read_channels(file, page)
    _check_number(stored.shape[2], channels)
    pixels = values.to_bytes(stored)
    planes = [import_extra("PIL.Image").fromarray(plane) for plane in np.moveaxis(pixels, 2, 0)]
    return (
        [_upright(plane, turn) for plane in planes],
        values.clips(stored),
        stored.dtype,
    )


def _check_number(found: int, wanted: int) -> None:
    """Refuse an image of another number of channels."""
    if found != wanted:
        name = "channel" if found == 1 else "channels"
        raise UnreadableImageError(
            f"has {found} {name}, but must have {wanted}: give an array or a file with as many"
        )


def _converted(
    image: "Image | TiffPage",
    file: ImageFile,
    page: int,
    mode: str,
    size: tuple[int, int] | None,
    values: ValueRange,
) -> "tuple[Image, bool, np.dtype]":
    """An image in a mode of 8 bits, whether values lay outside the range, and their type."""
    if size and not isinstance(image, TiffPage) and image.format == "JPEG":
        image.draft(None, (2 * size[1], 2 * size[0]))  # a fraction, never below twice the target
    with room_for(image):
        turn = orientation(image)
        stored = deep_values(image, file, page)
        if stored is None:
            assert not isinstance(image, TiffPage)  # its values are never None
            image.load()
            stored = image
        plain, clips = _upright_in_bytes(stored, turn, mode, values)
        dtype = stored.dtype if isinstance(stored, np.ndarray) else np.dtype(np.uint8)
        return plain, clips, dtype


def _upright_in_bytes(
    stored: "Image | np.ndarray", turn: int, mode: str, values: ValueRange
) -> "tuple[Image, bool]":
    """Some rows at a time: at its largest an image with transparency would take many times."""
    size = stored.shape[1::-1] if isinstance(stored, np.ndarray) else stored.size
    plain, clips = import_extra("PIL.Image").new(mode, size), False
    for rows, part in in_rows(stored):
        done, beyond = _plain(part, mode, values)
        plain.paste(done, (0, rows.start))
        clips = clips or beyond
    return _upright(plain, turn), clips


def _plain(stored: "Image | np.ndarray", mode: str, values: ValueRange) -> "tuple[Image, bool]":
    """What is stored in a mode of 8 bits, on white, and whether values lay outside the range."""
    image, clips = _in_bytes(stored, values)
    if image.mode == "LAB":  # Pillow converts it to colours only
        image = image.convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = import_extra("PIL.Image").new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return (image if image.mode == mode else image.convert(mode)), clips


def _in_bytes(stored: "Image | np.ndarray", values: ValueRange) -> "tuple[Image, bool]":
    """An image with 8 bits per channel by the range, and whether it clips some values."""
    if not isinstance(stored, np.ndarray):
        if values.byte == FULL_RANGE.byte:
            return stored, False
        is_grey = stored.mode in ("1", "L") and not stored.has_transparency_data
        stored = np.asarray(stored.convert("L" if is_grey else "RGBA"))
    colours, alpha = split_alpha(stored)
    pixels = values.to_bytes(colours)
    if alpha is not None:
        pixels = np.dstack([np.broadcast_to(pixels, (*alpha.shape, 3)), FULL_RANGE.to_bytes(alpha)])
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return import_extra("PIL.Image").fromarray(pixels), values.clips(colours)


def split_alpha(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The grey or colours of a picture, and its transparency, the last of 2 or 4 channels."""
    if stored.ndim == 2 or stored.shape[2] in (1, 3):
        return stored, None
    return stored[..., :-1], stored[..., -1]


def _upright(image: "Image", orientation: int) -> "Image":
    ways: Any = import_extra("PIL.Image").Transpose
    upright = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_270,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_90,
    }
    return image.transpose(upright[orientation]) if orientation in upright else image


def _reason(error: Exception, source: str | bytes | ImageFile) -> str:
    """Why an image cannot be read, in one line without its path."""
    source = source.source if isinstance(source, ImageFile) else source
    if type(error).__name__ == "UnidentifiedImageError":
        return "no image, or a damaged one"
    if type(error).__name__ == "DecompressionBombError":
        return "more pixels than are safe to decode"
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(source, str):
        reason = reason.replace(repr(source), "it").replace(source, "it")
    return " ".join(reason.split()) or type(error).__name__
