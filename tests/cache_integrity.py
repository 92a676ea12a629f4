"""Whether a file of the cache is what was written, by the checksum in it."""

import zlib
from pathlib import Path

from isavae.data.cache import MAGIC, _description, _mapped_images, _payload


def is_intact(path: Path) -> bool:
    """Whether the file holds, bit for bit, what was written to it; reads all of it."""
    about = _description(path)
    if about is None:
        return False
    crc = 0
    mapped = _mapped_images(about)
    if mapped is not None:
        for block in mapped.blocks() if mapped.is_there else ():
            crc = zlib.crc32(block, crc)
        return crc == about["crc32"]
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        left = _payload(about)
        while block := file.read(min(left, 1 << 20)):
            crc = zlib.crc32(block, crc)
            left -= len(block)
    return crc == about["crc32"]
