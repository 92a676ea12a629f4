"""Pixels in and out: uploads to tensors, tensors to bytes for a canvas, frames to a GIF."""

import io

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
LARGEST_PIXELS = 40_000_000
GIF_SIDE = 256


def read_picture(
    upload: bytes, shape: tuple[int, int, int]
) -> Float[Tensor, "1 channels height width"]:
    """A picture of any size as a model wants it: cropped to its aspect at the centre, resized.

    Args:
        upload: A PNG, JPEG, GIF (first frame), BMP or WebP file; transparency becomes black.
        shape: (channels, height, width), with 1 (grey) or 3 (RGB) channels.

    Raises:
        ValueError: If the bytes are no such picture, or too many pixels.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(
            f"a picture can be read for models of 1 or 3 channels; this one has {channels}"
        )
    try:
        picture = Image.open(io.BytesIO(upload), formats=FORMATS)
        _require_size(picture)
        fitted = ImageOps.fit(_opaque(ImageOps.exif_transpose(picture)), (width, height))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(
            f"an upload must be a whole {', '.join(FORMATS)} picture; these "
            f"{len(upload):,} bytes are not"
        ) from None
    pixels = np.asarray(fitted.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels).reshape(1, height, width, channels).permute(0, 3, 1, 2)


def _require_size(picture: Image.Image) -> None:
    if picture.width * picture.height > LARGEST_PIXELS:
        raise ValueError(
            f"an upload may have {LARGEST_PIXELS:,} pixels; this one is "
            f"{picture.width} x {picture.height}: make it smaller"
        )


def _opaque(picture: Image.Image) -> Image.Image:
    """In RGB; what is transparent becomes black. 16-bit grey keeps its range."""
    if picture.mode.startswith("I"):
        picture = picture.point(lambda value: value / 256).convert("L")
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "black"), coloured).convert("RGB")


def to_gif(frames: UInt8[np.ndarray, "n height width channels"], milliseconds: int) -> bytes:
    """An endless animation there and back again, enlarged to be seen.

    Args:
        frames: Pictures of 1 or 3 channels.
        milliseconds: How long each is shown.
    """
    zoom = max(1, GIF_SIDE // max(frames.shape[1:3]))
    size = (frames.shape[2] * zoom, frames.shape[1] * zoom)
    there = [
        Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).resize(
            size, Image.Resampling.NEAREST
        )
        for frame in frames
    ]
    file = io.BytesIO()
    there[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=[*there[1:], *there[-2:0:-1]],
        duration=milliseconds,
        loop=0,
    )
    return file.getvalue()
