"""Pixels in and out: an uploaded file to a tensor, frames to a GIF."""

import io
import math
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from isavae.data import ImageDataset, Preprocessing
from isavae.data.own.arrays import read_array, stored_shape
from isavae.data.own.changes import ROUNDED
from isavae.data.own.decoding import AS_CHANNELS, DEFAULT_FIT
from isavae.data.own.preprocessing import ALL
from isavae.data.own.tiff_file import MAX_PIXELS
from isavae.data.own.value_range import describe_range
from isavae.errors import counted

GIF_SIDE = 256
# First bytes of array files, and their suffixes.
ARRAYS = {b"\x93NUMPY": ".npy", b"PK\3\4": ".npz"}


def read_upload(
    upload: bytes, preprocessing: Preprocessing
) -> tuple[Float[Tensor, "1 channels height width"], str]:
    """An image or array file as the model wants it, read as its training images were.

    Args:
        upload: The bytes of the file.
        preprocessing: That of the model.

    Returns:
        The image, and sentences about what is cut off, clipped or left out; empty if nothing is.

    Raises:
        ValueError: If the bytes are no image, or the model has other channels.
    """
    suffix = next((name for start, name in ARRAYS.items() if upload.startswith(start)), None)
    try:
        if suffix is not None:
            return _read_array(upload, suffix, preprocessing)
        page = 1 if preprocessing.pages == ALL else preprocessing.pages
        found = preprocessing.decode(upload, page)
    except ValueError as error:
        raise ValueError(
            f"An upload must be an image, but {counted(len(upload), 'byte')} cannot be read: "
            f"{str(error).removesuffix('.')}."
        ) from error
    image = ImageDataset.from_stored("upload", found.pixels[None], preprocessing.shape).batch([0])
    notes = describe_range(preprocessing.values, 0, [found.dtype])
    if found.clips:
        notes.append("Values beyond the range become black or white.")
    if found.cut > ROUNDED:
        notes.append(f"Cropping cuts off {found.cut:.0%} of it.")
    if found.pages > 1 and page != AS_CHANNELS:
        notes.append(f"Page {page} of {found.pages} is read, the others are left out.")
    return image, " ".join(notes)


def _read_array(upload: bytes, suffix: str, how: Preprocessing) -> tuple[Tensor, str]:
    with tempfile.TemporaryDirectory(prefix="isavae-") as folder:
        path = Path(folder, f"upload{suffix}")
        path.write_bytes(upload)
        try:
            axes = _axes(stored_shape(path), how.channels)
            stream, _ = read_array(
                path, axes, values=how.values, size=how.size, fit=how.fit or DEFAULT_FIT
            )
            pixels = np.concatenate([*stream.blocks])[:1]
            image = ImageDataset.from_stored("upload", pixels, stream.shape).batch([0])
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), "the array")) from error
    notes = stream.changes()
    if stream.count > 1:
        notes.append(f"Image 1 of {stream.count} is read, the others are left out.")
    return image, " ".join(notes)


def _axes(shape: tuple[int, ...], channels: int) -> str:
    """The axes of an array of images, or of one image, of so many channels."""
    if math.prod(shape) > MAX_PIXELS:
        raise ValueError(
            f"at most {MAX_PIXELS:,} values may be there, but are {math.prod(shape):,}"
        )
    if channels == 1 and len(shape) in (2, 3):
        return "hw"
    if len(shape) not in (3, 4) or channels not in (shape[-3], shape[-1]):
        raise ValueError(f"the array must have {channels} channels, but has shape {shape}")
    return "chw" if shape[-3] == channels else "hwc"


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
