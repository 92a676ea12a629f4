"""Pixels in and out: an uploaded file to a tensor, frames to a GIF."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from isavae.data import ImageDataset, Preprocessing

GIF_SIDE = 256


def read_upload(
    upload: bytes, preprocessing: Preprocessing
) -> Float[Tensor, "1 channels height width"]:
    """An image file as the model wants it, read as its training images were.

    Args:
        upload: The bytes of the file.
        preprocessing: That of the model.

    Raises:
        ValueError: If the bytes are no image, or the model has other channels.
    """
    try:
        pixels = preprocessing.read(upload)
    except ValueError as error:
        raise ValueError(
            f"An upload must be an image, but these {len(upload):,} bytes cannot be read: {error}."
        ) from error
    return ImageDataset("upload", pixels[None], preprocessing.shape).batch([0])


def to_gif(frames: UInt8[np.ndarray, "n height width channels"], milliseconds: int) -> bytes:
    """An endless animation forth and back, enlarged to at least 128 pixels.

    Args:
        frames: Images of 1 or 3 channels.
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
