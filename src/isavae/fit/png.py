"""Images as PNG files, one by one or side by side."""

from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data.safe_reading import import_extra


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels, (height, width) or (height, width, 3)."""
    buffer = BytesIO()
    import_extra("PIL.Image").fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def tiles(images: Float[Tensor, "n channels height width"], columns: int) -> np.ndarray:
    """Images side by side in rows, a line of white between them: uint8, (height, width, 3).

    >>> tiles(torch.zeros(3, 1, 8, 8), columns=2).shape
    (17, 17, 3)
    """
    pixels = (images.clamp(0, 1) * 255).round().byte()
    pixels = torch.nn.functional.pad(pixels, (0, 1, 0, 1), value=255)
    n, channels, height, width = pixels.shape
    rows = -(-n // columns)
    sheet = torch.full((rows * columns, channels, height, width), 255, dtype=torch.uint8)
    sheet[:n] = pixels
    sheet = sheet.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return sheet[:-1, :-1].expand(-1, -1, 3).numpy()
