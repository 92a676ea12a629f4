"""What TIFF files claim besides their size, checked before it is believed."""

import math
from typing import Any
from xml.etree import ElementTree

from isavae.data.own.image_claims import UnreadableImageError

# Planes that the metadata of a microscope's file may name, whether or not they are there.
MOST_PLANES = 1 << 20


def check_metadata(file: Any) -> None:
    """Check the numbers of planes in the OME-XML of a file, for which lists would be made.

    Args:
        file: A `tifffile.TiffFile`.

    Raises:
        UnreadableImageError: If they are too large, or none.
    """
    if not file.is_ome:
        return
    try:
        root = ElementTree.fromstring(file.ome_metadata or "")
        claimed = max((_planes(element) for element in root.iter()), default=0)
    except (ElementTree.ParseError, ValueError, ZeroDivisionError, OverflowError):
        return  # read as other files
    if claimed > MOST_PLANES:
        raise UnreadableImageError(
            f"names {claimed:,} planes, at most {MOST_PLANES:,} are read: save it anew"
        )


def _planes(element: ElementTree.Element) -> int:
    """The planes that an element of OME-XML names."""
    kind, found = element.tag.rpartition("}")[2], element.attrib
    if kind == "Pixels":
        return math.prod(int(found.get(f"Size{axis}", 1)) for axis in "CZT")
    if kind == "TiffData":
        return max(0, *(int(found.get(name, 0)) for name in ("IFD", "NumPlanes", "PlaneCount")))
    if kind.startswith("ModuloAlong") and "Start" in found:
        length = float(found.get("End", 0)) - float(found["Start"])
        return math.ceil(length / float(found.get("Step", 1)))
    return 0


def check_series(file: Any, series: Any) -> None:
    """Check that planes without pages of their own are in the file.

    Args:
        file: A `tifffile.TiffFile`.
        series: One of its series.

    Raises:
        UnreadableImageError: If they are not.
    """
    begin = series.dataoffset
    size = math.prod(series.shape) * series.keyframe.dtype.itemsize
    if begin is not None and begin + size > file.filehandle.size:
        raise UnreadableImageError("ends before its last value")


def check_segments(file: Any, page: Any, most: int) -> None:
    """Check that strips or tiles are there, and take no more bytes than they may.

    Args:
        file: A `tifffile.TiffFile`.
        page: One of its pages.
        most: Bytes of a strip or a tile that is not packed.

    Raises:
        UnreadableImageError: If they do not.
    """
    beyond = 0
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if offset + count > file.filehandle.size:
            raise UnreadableImageError("ends before its last value")
        beyond += max(0, count - most - most // 100 - 1024)  # packed it may be a little longer
    # One that reaches to the end of the file is common; many together would be read for hours.
    if beyond > file.filehandle.size:
        raise UnreadableImageError("holds more values than it claims")
