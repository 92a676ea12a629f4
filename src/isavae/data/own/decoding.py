"""Picture files to pixels: what one decoding process does.

Run as a script, it answers requests on standard input. It imports nothing of isavae, and numpy only
for pictures of 16 bits, so that a process starts in a fraction of a second, and no script of a user
is imported twice, as multiprocessing would.
"""

import json
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

FITS = ("crop", "pad", "stretch")
ORIENTATION = 0x0112  # the Exif tag
MOST_PIXELS = 200_000_000  # of one picture, before it is shrunk

PNG = b"\x89PNG\r\n\x1a\n"
PLAIN = {(8, 0, 0): "L", (8, 2, 0): "RGB"}  # depth, colour type, interlacing: mode
MOST_BYTES = 1 << 16  # of a file that Pillow looks at for longer than at its pixels
HARMLESS = {b"IHDR", b"IDAT", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"tIME"}


def decode(path: str, channels: int, size: Sequence[int] | None, fit: str) -> "np.ndarray":
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
    import numpy as np

    picture = prepared(path, channels, size, fit)
    pixels = np.frombuffer(row_bytes(picture), np.uint8)
    return pixels.reshape(picture.height, channels, picture.width).transpose(1, 0, 2)


def prepared(path: str, channels: int, size: Sequence[int] | None, fit: str) -> "Image":
    """The picture of one file in its final size and mode, L or RGB; arguments as for `decode`."""
    from PIL import Image, ImageOps

    mode = "L" if channels == 1 else "RGB"
    picture = plain_png(path) if path.endswith(".png") else None
    if picture is None:
        with Image.open(path) as opened:
            picture = _plain(opened, mode, size)
    elif picture.mode != mode:
        picture = picture.convert(mode)
    if size and (picture.height, picture.width) != tuple(size):
        bring = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}[fit]
        picture = bring(picture, (size[1], size[0]), Image.Resampling.LANCZOS)
    return picture


def plain_png(path: str) -> "Image | None":
    """The picture of a small PNG file of bytes without transparency, palette or orientation.

    Pillow decodes it, but is told all that it would look for in the file, which takes as long as
    decoding does. None for every other file, damaged ones among them: for them its own way is
    right.
    """
    from PIL import Image

    if len(data := _start_of(path)) == MOST_BYTES:
        return None
    try:
        width, height, *kind, _, _, interlacing = struct.unpack_from(">IIBBBBB", data, 16)
        mode = PLAIN.get((*kind, interlacing))
        if data[:8] != PNG or mode is None or not 0 < width * height <= MOST_BYTES << 4:
            return None
        packed, at = [], len(PNG)
        while True:
            length, name = struct.unpack_from(">I4s", data, at)
            end = at + 8 + length
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                return None
            if name == b"IDAT":
                packed.append(data[at + 8 : end])
            elif name == b"IEND":
                return Image.frombytes(mode, (width, height), b"".join(packed), "zip", mode)
            elif name not in HARMLESS:
                return None
            at = end + 4
    except (struct.error, ValueError):
        return None


def _start_of(path: str) -> bytes:
    """Up to `MOST_BYTES` of a file, in one call: `open` and `read` make four of it."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, MOST_BYTES)
    finally:
        os.close(file)


def _plain(picture: "Image", mode: str, size: Sequence[int] | None) -> "Image":
    """An opened picture turned as it is to be seen, on white, in `mode`."""
    from PIL import Image, ImageOps

    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"has more than {MOST_PIXELS} pixels")
    if size and picture.format == "JPEG":  # decode at a fraction, never below twice the target
        picture.draft(None, (2 * size[1], 2 * size[0]))
    tagged = "exif" in picture.info or picture.format == "TIFF"
    if tagged and picture.getexif().get(ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits
        import numpy as np

        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture.load()
    return picture if picture.mode == mode else picture.convert(mode)


def row_bytes(picture: "Image") -> bytes:
    """Bytes of a picture: row by row, in a row one channel after the other."""
    return picture.tobytes() if picture.mode == "L" else picture.tobytes("raw", "RGB;L")


def decode_many(request: dict[str, Any]) -> tuple[list[bytes], dict[str, Any]]:
    """Bytes of several files, as `row_bytes`, and which of the files are damaged, and how.

    Args:
        request: `paths`; `channels`, `size` and `fit` as for `decode`; and `shape`, which all must
            have: (channels, height, width).

    Returns:
        The bytes; and `damaged`, a list of [position in `paths`, reason], or `error`.
    """
    channels, height, width = request["shape"]
    found, damaged = [], []
    for position, path in enumerate(request["paths"]):
        try:
            picture = prepared(path, channels, request["size"], request["fit"])
        except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
            damaged.append((position, reason(error, path)))
            continue
        if picture.size != (width, height):
            here = f"{os.path.basename(path)} is {picture.height} x {picture.width}"
            return [], {"error": f"{here}, others are {height} x {width}"}
        found.append(row_bytes(picture))
    return found, {"damaged": damaged}


def reason(error: Exception, path: str) -> str:
    """Why a file cannot be read, in one line without its path."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "no picture, or a damaged one"
    if type(error).__name__ == "DecompressionBombError":
        return "more pixels than are safe to decode"
    said = getattr(error, "strerror", None) or str(error)
    said = " ".join(said.replace(repr(path), "it").replace(path, "it").split())
    return said or type(error).__name__


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of JSON by a line of JSON and the bytes that it announces."""
    for line in requests:
        found, about = decode_many(json.loads(line))
        answers.write(json.dumps(about | {"bytes": sum(map(len, found))}).encode() + b"\n")
        answers.write(b"".join(found))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
