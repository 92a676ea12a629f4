"""TIFF files that Pillow does not read: any number of channels, planes, types and hyperstacks."""

import logging
import math
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, final

import numpy as np

from isavae.data.own.image_claims import UnreadableImageError
from isavae.data.own.tiff_claims import check_metadata, check_segments, check_series
from isavae.data.safe_reading import import_extra

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# An image with more pixels is refused; decoding one takes up to 25 bytes per pixel.
MAX_PIXELS = 1 << 26
# Numbers of compressions: none, LZW, deflate (two numbers), PackBits.
NONE, LZW, DEFLATE, PACKBITS = (1,), (5,), (8, 32946), (32773,)
# What a photometric interpretation, an extra sample and a planar configuration are called.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2


# What is wrong with a file is said in one sentence, and by this logger to those who listen: without
# a handler its lines would go to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@final
@dataclass(frozen=True, eq=False)
class TiffPage:
    """A page of a TIFF file: one image with all of its channels.

    Attributes:
        size: Width and height.
        n_pages: The number of such images in the file.
        n_channels: Channels of the image, without transparency.
        has_alpha: Whether a last channel is its transparency.
        is_colour: Whether its three channels are red, green and blue.
        orientation: Its orientation, as in Exif.
        read: Returns the values, (height, width, channels).
    """

    size: tuple[int, int]
    n_pages: int
    n_channels: int
    has_alpha: bool
    is_colour: bool
    orientation: int
    read: Callable[[], np.ndarray]

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]


@contextmanager
def open_tiff(source: BufferedIOBase) -> Iterator[Callable[[int], TiffPage]]:
    """Open a TIFF file: what gives its pages, counted from 1.

    An axis of channels or samples is the image's channels; all other axes (time, depth, tiles) and
    further series are pages.

    Args:
        source: The file, at its beginning.

    Raises:
        UnreadableImageError: If it has no such page, or is laid out in a way that is not read.
    """
    tifffile = import_extra("tifffile")
    # Micro-Manager's own formats lie in several files of a folder.
    kinds = {"is_mmstack": False, "is_ndtiff": False}
    with tifffile.TiffFile(source, _multifile=False, **kinds) as file:
        check_metadata(file)
        for one in file.series:
            check_series(file, one)
        counts = [_n_pages(one) for one in file.series]
        ends = np.cumsum(counts).tolist()

        def at(page: int) -> TiffPage:
            if page > ends[-1]:
                raise UnreadableImageError(f"has no page {page}, but {ends[-1]}")
            k = bisect_left(ends, page)
            return _page(file, file.series[k], page - 1 - (ends[k] - counts[k]), ends[-1])

        yield at


def _n_pages(series: Any) -> int:
    axes, shape = _leading(series)
    return math.prod(n for axis, n in zip(axes, shape, strict=True) if axis != "C")


def _leading(series: Any) -> tuple[str, tuple[int, ...]]:
    """The axes of a series before those of a plane, and their lengths."""
    plane = series.keyframe.axes
    if plane not in ("YX", "YXS", "SYX") or not series.axes.endswith(plane):
        raise UnreadableImageError(f"has the axes {series.axes}, which are not read")
    return series.axes[: -len(plane)], series.shape[: -len(plane)]


def _page(file: Any, series: Any, at: int, n_pages: int) -> TiffPage:
    """Page `at` of a series, counted from 0."""
    frame, (axes, shape) = series.keyframe, _leading(series)
    others = [n for axis, n in zip(axes, shape, strict=True) if axis != "C"]
    place = iter(np.unravel_index(at, others)) if others else iter(())
    index = tuple(slice(None) if axis == "C" else next(place) for axis in axes)
    planes = np.arange(math.prod(shape)).reshape(shape)[index].ravel().tolist()
    samples = frame.samplesperpixel
    _check_layout(frame, series, samples * len(planes))
    alpha = frame.extrasamples == (UNASSOCIATED,) and len(planes) == 1

    def read() -> np.ndarray:
        values = [_upright_axes(_plane(file, series, plane), frame.axes) for plane in planes]
        return _black_is_zero(np.concatenate(values, axis=2), frame)

    return TiffPage(
        (frame.imagewidth, frame.imagelength),
        n_pages,
        samples * len(planes) - alpha,
        alpha,
        int(frame.photometric) == RGB and samples == 3 + alpha and len(planes) == 1,
        int(frame.tags.valueof(274) or 1),
        read,
    )


def _check_layout(frame: Any, series: Any, n_channels: int) -> None:
    """Refuse what is too large to be read, or would be read into other values."""
    photometric, compression = int(frame.photometric), int(frame.compression)
    # Strips and tiles are decoded whole.
    n_values = max(frame.imagewidth * frame.imagelength * n_channels, math.prod(frame.chunks))
    if n_values > MAX_PIXELS:
        raise UnreadableImageError("more pixels than are safe to decode")
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        colours = getattr(frame.photometric, "name", photometric)
        raise UnreadableImageError(f"stores {colours} colours, which are not read: save it as RGB")
    if compression not in NONE + LZW + DEFLATE + PACKBITS:
        name = getattr(frame.compression, "name", compression)
        raise UnreadableImageError(f"has the compression {name}, which is not read: save without")
    if frame.dtype is None or frame.dtype.kind not in "buif":
        raise UnreadableImageError("must hold integers or floats, but holds others")
    if frame.bitspersample < 8 and frame.bitspersample not in (1, 2, 4):
        raise UnreadableImageError(f"has {frame.bitspersample} bits per channel, which is not read")
    if frame.bitspersample < 8 and frame.axes == "YXS":
        raise UnreadableImageError("has less than 8 bits per channel, which is not read")
    if photometric == WHITE_IS_ZERO and frame.dtype.kind == "f":
        raise UnreadableImageError("has floats with 0 as white, but no black: invert them")
    if ASSOCIATED in frame.extrasamples:
        raise UnreadableImageError("has colours multiplied by their transparency: save it without")
    if None in series.pages:
        raise UnreadableImageError("has planes in other files: join them in one")


def _plane(file: Any, series: Any, plane: int) -> np.ndarray:
    frame = series.keyframe
    if series.dataoffset is not None:  # planes without pages of their own
        offset = series.dataoffset + plane * frame.nbytes
        if offset + frame.nbytes > file.filehandle.size:
            raise UnreadableImageError("ends before its last value")
        dtype = frame.dtype.newbyteorder(file.byteorder)
        values = file.filehandle.read_array(dtype, frame.size, offset)
        return values.reshape(frame.shape)
    page = series.pages[plane]
    _check_segments(file, page)
    return page.asarray()


def _check_segments(file: Any, page: Any) -> None:
    """Check that strips or tiles are there, and hold as many values as they claim, no more."""
    most = math.prod(page.keyframe.chunks) * page.keyframe.dtype.itemsize
    check_segments(file, page, most)
    compression, total = int(page.keyframe.compression), 0
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if compression in DEFLATE:
            file.filehandle.seek(offset)
            unpacked = zlib.decompressobj()
            count = len(unpacked.decompress(file.filehandle.read(count), most + 1))
        total += count
        if compression in DEFLATE and count > most:
            raise UnreadableImageError("holds more values than it claims")
    if (
        compression in NONE + DEFLATE
        and 8 * total < page.keyframe.size * page.keyframe.bitspersample
    ):
        raise UnreadableImageError("holds fewer values than it claims")


def _upright_axes(values: np.ndarray, axes: str) -> np.ndarray:
    if axes == "SYX":
        return np.moveaxis(values, 0, -1)
    return values if axes == "YXS" else values[..., None]


def _black_is_zero(values: np.ndarray, frame: Any) -> np.ndarray:
    """Values of which the smallest is black, in the machine's byte order."""
    bits = frame.bitspersample
    if bits < 8:
        values, bits = values.astype(np.uint8) * np.uint8(255 // (2**bits - 1)), 8
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if int(frame.photometric) != WHITE_IS_ZERO:
        return values
    return ~values if values.dtype.kind == "i" else values.dtype.type(2**bits - 1) - values
