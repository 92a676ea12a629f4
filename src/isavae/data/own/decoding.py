"""One image file to pixels, the same way wherever an image is read."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from isavae.data.safe_reading import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

FITS = ("crop", "pad", "stretch")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
# The Exif tag.
ORIENTATION = 0x0112


class UnreadableImageError(ValueError):
    """An image cannot be decoded; the message gives the reason in one line."""


class ImageSizeError(ValueError):
    """An image has another size than it must have, and no rule says how to resize it."""


def decode(
    source: str | bytes, size: tuple[int, int] | None, fit: str | None, channels: int
) -> UInt8[np.ndarray, "channels height width"]:
    """Decode an image: upright, of several frames the first, on white where it is transparent.

    Args:
        source: The path or the bytes of an image file.
        size: Height and width to resize to; None keeps the image's own.
        fit: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores proportions;
            None refuses images of another size.
        channels: 1 for grey, 3 for colour.

    Raises:
        UnreadableImageError: If the file is damaged, no image or too large.
        ImageSizeError: If the image has another size and there is no `fit`.
    """
    pil, ops = import_extra("PIL.Image"), import_extra("PIL.ImageOps")
    try:
        opened = pil.open(BytesIO(source) if isinstance(source, bytes) else source, "r", FORMATS)
        with opened:
            image = _upright_on_white(opened, "L" if channels == 1 else "RGB", size)
    except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
        raise UnreadableImageError(_reason(error, source)) from error
    if size is not None and (image.height, image.width) != size:
        if fit is None:
            given, wanted = (image.height, image.width), size
            raise ImageSizeError("{} x {}, others are {} x {}".format(*given, *wanted))
        resize = {"crop": ops.fit, "pad": ops.pad, "stretch": pil.Image.resize}[fit]
        image = resize(image, (size[1], size[0]), pil.Resampling.LANCZOS)
    return np.asarray(image).reshape(image.height, image.width, channels).transpose(2, 0, 1)


def _upright_on_white(image: "Image", mode: str, size: tuple[int, int] | None) -> "Image":
    pil = import_extra("PIL.Image")
    if size and image.format == "JPEG":  # decode at a fraction, never below twice the target
        image.draft(None, (2 * size[1], 2 * size[0]))
    tagged = "exif" in image.info or image.format == "TIFF"
    if tagged and image.getexif().get(ORIENTATION, 1) != 1:
        image = import_extra("PIL.ImageOps").exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = pil.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = pil.alpha_composite(pil.new("RGBA", image.size, "white"), image)
    image.load()
    return image if image.mode == mode else image.convert(mode)


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
