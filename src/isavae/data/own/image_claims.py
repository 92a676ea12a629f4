"""What image files claim besides their size, checked before a decoder believes it."""

import re
import struct
from collections.abc import Iterator
from io import BufferedIOBase

# Scans of a JPEG file, as libtiff allows: each goes over the whole image, in some 20 bytes.
MOST_SCANS = 100
# Code blocks and precincts of a tile of a JPEG 2000 file: a decoder makes all of them first, each
# of some 400 bytes. An image of 2^26 / 1.5 pixels in colour has 33,000 as usual, of 64 x 64.
MOST_BLOCKS = 1 << 20
JPEG = b"\xff\xd8\xff"
JP2, CODESTREAM = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
# A marker in the data of a scan of a JPEG file: neither a value nor a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Markers of a JPEG file: a scan, the end, and those without a length.
_SCAN, _END, _BARE = 0xDA, 0xD9, (0x01, 0xD8)
# Markers of a JPEG 2000 file: its size, how components are coded, a part of a tile, its data.
_SIZE, _CODING, _COMPONENT, _PART, _DATA, _LAST = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
# Others that its decoder knows, all with a length; it looks for the next marker after others.
_KNOWN = {_SIZE, _CODING, _COMPONENT, _PART, 0xFF50, *range(0xFF55, 0xFF66), 0xFF91}
_KNOWN |= {0xFF74, 0xFF75, 0xFF77, 0xFF78}


class UnreadableImageError(ValueError):
    """An image cannot be decoded; the message gives the reason in one line."""


def check_claims(file: BufferedIOBase, start: bytes) -> None:
    """Check what a JPEG or JPEG 2000 file claims; others pass.

    Args:
        file: The file.
        start: Its first eight bytes.

    Raises:
        UnreadableImageError: If decoding it would take long, or more memory than its pixels.
    """
    if start.startswith(JPEG):
        _check_scans(file)
    elif start.startswith(CODESTREAM):
        _check_blocks(file, 0)
    elif start == JP2 and (at := _find_codestream(file)) is not None:
        _check_blocks(file, at)


def _check_scans(file: BufferedIOBase) -> None:
    file.seek(2)
    n_scans = 0
    while (marker := _next_marker(file)) not in (None, _END):
        n_scans += marker == _SCAN
        if n_scans > MOST_SCANS:
            raise UnreadableImageError(
                f"has more than {MOST_SCANS} scans, of which a JPEG file has some ten: save it anew"
            )
        if marker not in _BARE:
            file.seek(int.from_bytes(file.read(2)) - 2, 1)


def _next_marker(file: BufferedIOBase) -> int | None:
    """The next marker of a JPEG file, after which the file stands; None at its end."""
    size = 64
    while len(part := file.read(size)) > 1:
        if found := _MARKER.search(part):
            file.seek(found.end() - len(part), 1)
            return part[found.end() - 1]
        file.seek(-1, 1)  # it may be the first byte of a marker
        size = min(4 * size, 1 << 20)
    return None


def _find_codestream(file: BufferedIOBase) -> int | None:
    """Where the codestream of a JP2 file begins; None if it has none."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head[:8])
        size = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + size
        length = int.from_bytes(head[8:]) if length == 1 else length
        if length < size:
            return None
        at += length


def _check_blocks(file: BufferedIOBase, at: int) -> None:
    try:
        n_components, width, height = 0, 0, 0
        for marker, content in _segments(file, at):
            if marker == _SIZE:
                corners = struct.unpack(">8IH", content[2:36])
                # Tiles are decoded one after the other.
                width, height = min(corners[0], corners[4]), min(corners[1], corners[5])
                n_components = corners[8]
            elif marker in (_CODING, _COMPONENT):
                skipped = 0 if marker == _CODING else 1 + (n_components > 256)
                flags, begin = content[skipped], skipped + (5 if marker == _CODING else 1)
                n_blocks = n_components * _count(width, height, content[begin:], flags & 1)
                if n_blocks > MOST_BLOCKS:
                    raise UnreadableImageError(
                        f"has {n_blocks:,} code blocks and precincts, at most {MOST_BLOCKS:,} are "
                        "read: save it with larger ones"
                    )
    except (struct.error, IndexError, OverflowError):
        raise UnreadableImageError("no image, or a damaged one") from None


def _segments(file: BufferedIOBase, at: int) -> Iterator[tuple[int, bytes]]:
    """The segments of the headers of a codestream and of the parts of its tiles."""
    file.seek(at + 2)
    end = 0
    while len(head := file.read(4)) == 4:
        marker, length = struct.unpack(">HH", head)
        if marker == _LAST:
            return
        if marker == _DATA:
            if end == 0:  # the last part
                return
            if end < file.tell() - 2:
                raise UnreadableImageError("no image, or a damaged one")
            file.seek(end)
            continue
        if marker not in _KNOWN or length < 2:
            raise UnreadableImageError("no image, or a damaged one")
        content = file.read(length - 2)
        yield marker, content
        if marker == _PART:
            size = struct.unpack(">I", content[2:6])[0]
            end = file.tell() - 12 + size if size else 0


def _count(width: int, height: int, coding: bytes, has_precincts: int) -> int:
    """Code blocks and precincts of a component of a tile, in all bands and resolutions."""
    levels, *edges = coding[0], coding[1] + 2, coding[2] + 2
    precincts = coding[5 : 6 + levels] if has_precincts else b"\xff" * (levels + 1)
    n = 0
    for level, packed in enumerate(precincts):
        inner = int(level > 0)  # its three bands have half of the size
        sizes = [_up(edge, levels - level) for edge in (width, height)]
        powers = (packed & 15, packed >> 4)
        blocks = [
            _up(_up(size, inner), min(edge, max(0, power - inner)))
            for size, edge, power in zip(sizes, edges, powers, strict=True)
        ]
        cells = [_up(size, power) for size, power in zip(sizes, powers, strict=True)]
        n += (3 if inner else 1) * (blocks[0] * blocks[1] + cells[0] * cells[1])
    return n


def _up(size: int, power: int) -> int:
    """The size over two to a power, rounded up."""
    return -(-size >> power)
