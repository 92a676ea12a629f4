"""Picture files to pixels: what one decoding process does.

Run as a script, it answers requests on standard input. It imports nothing of isavae, so that a
process starts in a fraction of a second, and no script of a user is imported twice, as
multiprocessing would.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

FITS = ("crop", "pad", "stretch")
ORIENTATION = 0x0112  # the Exif tag
MOST_PIXELS = 200_000_000  # of one picture, before it is shrunk


def decode(path: str, channels: int, size: Sequence[int] | None, fit: str) -> np.ndarray:
    """Pixels of one file.

    Args:
        path: The file.
        channels: 1 for grey, 3 for colour; what is transparent becomes white.
        size: Height and width to bring it to; by default it keeps its own.
        fit: How: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores
            proportions.

    Returns:
        uint8, shape (channels, height, width).
    """
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"has more than {MOST_PIXELS} pixels")
        if size and picture.format == "JPEG":  # decode at a fraction, never below twice the target
            picture.draft(None, (2 * size[1], 2 * size[0]))
        tagged = "exif" in picture.info or picture.format == "TIFF"
        if tagged and picture.getexif().get(ORIENTATION, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits
            picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        mode = "L" if channels == 1 else "RGB"
        picture = picture if picture.mode == mode else picture.convert(mode)
        if size and (picture.height, picture.width) != tuple(size):
            resample, target = Image.Resampling.LANCZOS, (size[1], size[0])
            bring = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}[fit]
            picture = bring(picture, target, resample)
        pixels = np.asarray(picture)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_many(request: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels of several files of one size, and what they are; or the error, in a sentence."""
    pictures, path = [], ""
    try:
        for path in request["paths"]:
            picture = decode(path, request["channels"], request["size"], request["fit"])
            if pictures and picture.shape != pictures[0].shape:
                raise ValueError(f"is {shown(picture)}, others are {shown(pictures[0])}")
            pictures.append(picture)
    except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
        return np.empty(0, np.uint8), {"error": f"{path}: {' '.join(str(error).split())}"}
    return np.stack(pictures), {"shape": [len(pictures), *pictures[0].shape]}


def shown(picture: np.ndarray) -> str:
    """Height and width for people."""
    return f"{picture.shape[1]} x {picture.shape[2]}"


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of JSON by a line of JSON and the bytes that it announces."""
    for line in requests:
        pixels, about = decode_many(json.loads(line))
        answers.write(json.dumps(about | {"bytes": pixels.nbytes}).encode() + b"\n")
        answers.write(np.ascontiguousarray(pixels).data)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
