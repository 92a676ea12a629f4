"""Many images in one: tiles on a sheet, and the bytes of a PNG file."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from isavae.data.safe_reading import import_extra
from isavae.files import atomic_write


def side_by_side(
    images: Float[Tensor, "*n channels height width"],
) -> Float[Tensor, "*n shown height wide"]:
    """Images as they are shown: channels that are neither grey nor RGB become grey neighbours.

    Examples:
        >>> side_by_side(torch.zeros(4, 2, 8, 6)).shape, side_by_side(torch.zeros(3, 8, 6)).shape
        (torch.Size([4, 1, 8, 12]), torch.Size([3, 8, 6]))
    """
    if images.shape[-3] in (1, 3):
        return images
    return images.movedim(-3, -2).flatten(-2).unsqueeze(-3)


def to_uint8(images: Float[Tensor, "n channels height width"]) -> UInt8[np.ndarray, "n ..."]:
    """Pixels in [0, 1] as 0..255, as they are shown: shape (n, height, width, 1 or 3)."""
    return np.ascontiguousarray(to_bytes(side_by_side(images)).transpose(0, 2, 3, 1))


def to_bytes(images: Float[Tensor, "n channels height width"]) -> UInt8[np.ndarray, "n ..."]:
    """Pixels in [0, 1] as 0..255, channels first."""
    return (images.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def tile(
    images: Float[Tensor, "n channels height width"], columns: int, gap: int = 1
) -> UInt8[np.ndarray, "tall wide ..."]:
    """Images in rows of `columns` on white.

    Args:
        images: Pixels in [0, 1]; channels that are neither grey nor RGB are shown side by side.
        columns: Images per row; what a last row lacks stays white.
        gap: White pixels between neighbours.

    Returns:
        Shape (tall, wide), for RGB images (tall, wide, 3).

    Examples:
        >>> tile(torch.zeros(3, 1, 8, 8), columns=2).shape
        (17, 17)
        >>> tile(torch.zeros(2, 3, 8, 8), columns=2, gap=0).shape
        (8, 16, 3)
    """
    pixels = to_uint8(images)
    n, height, width, channels = pixels.shape
    rows = -(-n // columns)
    sheet = np.full((rows * columns, height + gap, width + gap, channels), 255, dtype=np.uint8)
    sheet[:n, :height, :width] = pixels
    sheet = sheet.reshape(rows, columns, height + gap, width + gap, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), channels)
    sheet = sheet[: len(sheet) - gap, : sheet.shape[1] - gap]
    return np.ascontiguousarray(sheet if channels == 3 else sheet[..., 0])


def write_tiles(
    path: Path, images: Float[Tensor, "n channels height width"], columns: int = 1
) -> None:
    """Write images in rows of `columns` as a PNG file."""
    with atomic_write(path) as file:
        file.write(png(tile(images, columns)))


def png(pixels: UInt8[np.ndarray, "tall wide ..."]) -> bytes:
    """A PNG file of pixels of shape (tall, wide) or (tall, wide, 3)."""
    buffer = BytesIO()
    import_extra("PIL.Image").fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
