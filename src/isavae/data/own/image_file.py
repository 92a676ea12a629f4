"""One image file as it is stored: the only place that opens image files."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, final

from isavae.data.own.image_claims import UnreadableImageError, check_claims
from isavae.data.own.threads import Budget
from isavae.data.own.tiff_file import (
    MAX_PIXELS,
    STARTS,
    TiffPage,
    open_tiff,
)
from isavae.data.safe_reading import import_extra
from isavae.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

# The formats that are read, and their suffixes. No others are tried: some start other programs.
FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "AVIF": (".avif",),
    "TGA": (".tga",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
PNG = b"\x89PNG\r\n\x1a\n"
# Pixels that all threads decode at a time.
DECODED = Budget(MAX_PIXELS)
# Formats whose decoders keep several copies: a pixel of theirs counts as so many.
HEAVY, WEIGHT = ("WEBP", "JPEG2000", "AVIF"), 1.5
# Numbers of tags.
ORIENTATION, BITS, SAMPLES, PLANAR, DESCRIPTION = 0x0112, 258, 277, 284, 270
TILE_WIDTH, TILE_HEIGHT = 322, 323
# What Pillow calls 16 bits per channel of which it keeps the upper byte: little-endian, big-endian
# or native. Asked for the other order, it keeps the lower one.
LITTLE, BIG, NATIVE = ";16L", ";16B", ";16N"
BYTES = (LITTLE, BIG, NATIVE)
# Grey PNG files of 2 and 4 bits, which Pillow scales to 8 bits, but not the value that is clear.
FEW_BITS = {"L;2": 85, "L;4": 17}
# Descriptions of files in which several pages are the channels of one image.
HYPERSTACKS = (
    (re.compile(r"ImageJ="), re.compile(r"^channels=(?!1$)", re.MULTILINE)),
    (re.compile(r"<OME\b"), re.compile(r"\bSizeC=\"(?!1\")")),
)


def is_image_file(path: Path) -> bool:
    """Whether a file has the suffix of an image."""
    return path.name.lower().endswith(SUFFIXES)


@final
class ImageFile:
    """An image file of one of `FORMATS`, opened when a page is asked for.

    Pages that are asked for in order are read in one pass: a format of frames stores what changes.

    Args:
        source: Its path or its bytes.

    Attributes:
        source: The same.
    """

    def __init__(self, source: str | bytes):
        self.source = source
        self._opened = ExitStack()
        self._at: Callable[[int], Image | TiffPage] | None = None

    def __enter__(self) -> "ImageFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def at(self, page: int) -> "Image | TiffPage":
        """The file at a page, counted from 1; of other pages, what was returned is lost.

        Raises:
            OSError: If it is no such file.
            UnreadableImageError: If it has no such page, or channels that would be dropped.
        """
        if self._at is None:
            # TGA files have no signature: other files may look like one.
            is_tga = isinstance(self.source, str) and self.source.lower().endswith(FORMATS["TGA"])
            with ExitStack() as opened:
                # Opened once, so that what is checked is what is read.
                source = self.source
                file = BytesIO(source) if isinstance(source, bytes) else open_regular(source)
                opened.enter_context(file)
                self._at = opened.enter_context(_opened(file, is_tga))
                self._opened = opened.pop_all()
        return self._at(page)


@contextmanager
def opening(source: str | bytes | ImageFile) -> Iterator[ImageFile]:
    """A file that is open, or is opened for the duration of the block."""
    if isinstance(source, ImageFile):
        yield source
        return
    with ImageFile(source) as file:
        yield file


@contextmanager
def open_image(source: str | bytes, page: int = 1) -> Iterator["Image | TiffPage"]:
    """Open an image file at a page, as `ImageFile.at`."""
    with ImageFile(source) as file:
        yield file.at(page)


@contextmanager
def _opened(file: BufferedIOBase, is_tga: bool) -> Iterator["Callable[[int], Image | TiffPage]"]:
    """What gives the pages of a file."""
    start = file.read(len(PNG))
    check_claims(file, start)
    if start == PNG:
        _verify_png(file)
    if start.startswith(STARTS) and not _reads_tiff(file):
        file.seek(0)
        with open_tiff(file) as at:
            yield at
        return
    with _open(file, is_tga) as image:
        pages = count_pages(image)
        # The value that is clear is that of all frames of a PNG file.
        scale = FEW_BITS.get(rawmode(image), 1)
        if isinstance(clear := image.info.get("transparency"), int):
            image.info["transparency"] = clear * scale

        def at(page: int) -> "Image":
            if page > pages:
                raise UnreadableImageError(f"has no page {page}, but {pages}")
            if pages > 1:
                image.seek(page - 1)
            _check_channels(image)
            return image

        yield at


def _verify_png(file: BufferedIOBase) -> None:
    """Check the sums of a PNG file, which Pillow does not do when it decodes one."""
    with _open(file) as image:
        try:
            image.verify()
        except Exception as error:  # a damaged file makes Pillow raise some dozen kinds
            raise UnreadableImageError("no image, or a damaged one") from error


def _reads_tiff(file: BufferedIOBase) -> bool:
    """Whether Pillow reads a TIFF file with all of its channels and values."""
    try:
        with _open(file) as image:
            description = str(image.tag_v2.get(DESCRIPTION, ""))  # pyrefly: ignore[missing-attribute]
            is_one_image = tag(image, SAMPLES) > 1 or not _is_hyperstack(description)
            return is_one_image and _is_whole(image)
    except Exception:  # what Pillow does not know makes it raise some dozen kinds
        return False


def _is_hyperstack(description: str) -> bool:
    """Whether several pages are the channels of one image; in time linear in its length."""
    return any(
        (begin := program.search(description)) and channels.search(description, begin.end())
        for program, channels in HYPERSTACKS
    )


def _is_whole(image: "Image") -> bool:
    """Whether Pillow decodes a page of a TIFF file without dropping or mixing channels."""
    samples = tag(image, SAMPLES)
    is_known_order = samples == 1 or tag(image, PLANAR) == 1 or tag(image, BITS) == 8
    return samples == len(image.getbands()) and is_known_order


@contextmanager
def _open(file: BufferedIOBase, is_tga: bool = False) -> Iterator["Image"]:
    pil = import_extra("PIL.Image")
    pil.init()
    formats = [name for name in FORMATS if name in pil.OPEN and (is_tga or name != "TGA")]
    file.seek(0)
    # A file, not its path: Pillow maps TIFF files with a path, and mixes the pixels of turned ones.
    with pil.open(file, "r", formats) as image:
        yield image


def count_pages(image: "Image | TiffPage") -> int:
    """Pages or frames; 1 for a photograph with previews of itself."""
    if isinstance(image, TiffPage):
        return image.n_pages
    return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


def count_channels(image: "Image | TiffPage") -> int:
    """Channels of an image that is neither grey nor in colour; 0 for one that is."""
    if isinstance(image, TiffPage):
        is_picture = image.is_colour or image.n_channels == 1
        return 0 if is_picture else image.n_channels + image.has_alpha
    return 0


def orientation(image: "Image | TiffPage") -> int:
    """How to turn an image upright, by its Exif tag: 1 to 8."""
    if isinstance(image, TiffPage):
        return image.orientation
    # Pillow turns TIFF files itself when it decodes them.
    has_tag = "exif" in image.info and image.format != "TIFF"
    return image.getexif().get(ORIENTATION, 1) if has_tag else 1


@contextmanager
def room_for(image: "Image | TiffPage", n_pages: int = 1) -> Iterator[None]:
    """Check the size that a file claims; wait until other threads leave room to decode it.

    Raises:
        UnreadableImageError: If it is too large.
    """
    n_pixels = image.width * image.height
    if not isinstance(image, TiffPage) and image.format == "TIFF":  # whole tiles are decoded
        n_pixels = max(n_pixels, tag(image, TILE_WIDTH) * tag(image, TILE_HEIGHT))
    n_pixels *= n_pages
    if not isinstance(image, TiffPage) and image.format in HEAVY:
        n_pixels = round(WEIGHT * n_pixels)
    if n_pixels > MAX_PIXELS:
        raise UnreadableImageError("more pixels than are safe to decode")
    with DECODED.take(n_pixels):
        yield


def _check_channels(image: "Image") -> None:
    """Refuse channels, or bits of them, that Pillow would drop."""
    if image.format == "TIFF" and not _is_whole(image):
        raise UnreadableImageError(
            "has a page with other channels than its first: save its pages in files of their own"
        )
    if image.format == "PPM" and image.mode == "RGB" and _most_of_pnm(image) > 255:
        raise UnreadableImageError(
            "has more than 8 bits per colour as PPM, of which 8 would be kept: save it as PNG"
        )
    raw = rawmode(image)
    colours = image.mode in ("RGB", "RGBA") and raw.removeprefix(image.mode) in BYTES
    if colours and image.format == "PNG" and count_pages(image) > 1:
        # Pillow puts frames together in bytes: the lower ones of a part would be those of others.
        raise UnreadableImageError(
            "has several frames with 16 bits per colour, which is not read: "
            "save its frames in files of their own"
        )
    if "16" in raw and not (colours or image.mode.startswith("I")):
        raise UnreadableImageError(
            f"has 16 bits per channel as {raw}, which is not read: save it as grey or RGB"
        )


def _most_of_pnm(image: "Image") -> int:
    """The value of white in a PPM file, as it is said."""
    arguments = image.tile[0][3] if getattr(image, "tile", None) else ""  # pyrefly: ignore[missing-attribute]
    numbers = [value for value in arguments if isinstance(value, int)]
    return max(numbers, default=255)


def tag(image: "Image", number: int) -> int:
    """The first value of a TIFF tag, 1 where it is missing."""
    value = image.tag_v2.get(number, 1)  # pyrefly: ignore[missing-attribute]
    return value[0] if isinstance(value, tuple) else value


def rawmode(image: "Image") -> str:
    """How pixels are stored, as Pillow names it; empty once the image is decoded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""
