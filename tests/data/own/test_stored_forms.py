"""Every form of grey, palettes, transparency and orientation in files has one right value."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from isavae.data.own.find_preprocessing import find_preprocessing, image_sizes
from isavae.data.own.value_range import parse_range

RNG = np.random.default_rng(0)
# First row and column, and steps, of the seven passes of an interlaced PNG file.
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
          (1, 0, 2, 1)]  # fmt: skip
GREY, COLOUR, PALETTE = 0, 2, 3


def check(path, right, **how):
    """The pixels are the right ones, between 0 and 1, within a level of 255."""
    right = right[None] if right.ndim == 2 else right.transpose(2, 0, 1)
    found = find_preprocessing([str(path)], **how).read(str(path))
    np.testing.assert_allclose(found / 255, right, rtol=0, atol=0.51 / 255)


def packed(row, bits):
    """The bytes of a row of values of so many bits."""
    if bits >= 8:
        return row.astype({8: ">u1", 16: ">u2", 32: ">u4"}[bits]).tobytes()
    split = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(split.reshape(-1)).tobytes()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, bits, kind=GREY, more=b"", interlaced=False):
    passes = PASSES if interlaced else [(0, 0, 1, 1)]
    parts = [values[y::down, x::across] for y, x, down, across in passes]
    rows = b"".join(b"\0" + packed(row, bits) for part in parts if part.size for row in part)
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def tiff(values, bits, photometric):
    rows = b"".join(packed(row, bits) for row in values)
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8),
            (277, 1), (278, height), (279, len(rows))]  # fmt: skip
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack(">H", len(tags)) + entries + bytes(4)
    return b"MM\0*" + struct.pack(">I", 8 + len(rows)) + rows + directory


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png_files_of_any_depth(tmp_path, bits, interlaced):
    values = RNG.integers(0, 2**bits, (6, 8))
    values[0, 0] = 2**bits - 1
    (tmp_path / "a.png").write_bytes(png(values, bits, interlaced=interlaced))
    check(tmp_path / "a.png", values / (2**bits - 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_clear_value_of_grey_becomes_white(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (6, 8))
    values[0] = 1
    (tmp_path / "a.png").write_bytes(png(values, bits, more=chunk(b"tRNS", b"\0\1")))
    check(tmp_path / "a.png", np.where(values == 1, 1, values / (2**bits - 1)))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_clear_colour_becomes_white(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (6, 8, 3))
    values[0] = clear = (1, 2, 3)
    more = chunk(b"tRNS", struct.pack(">HHH", *clear))
    (tmp_path / "a.png").write_bytes(png(values, bits, COLOUR, more))
    right = values / (2**bits - 1)
    right[(values == clear).all(2)] = 1
    check(tmp_path / "a.png", right)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_a_clear_colour(tmp_path, bits):
    palette = RNG.integers(0, 256, (2**bits, 3), dtype=np.uint8)
    values = RNG.integers(0, 2**bits, (6, 8))
    more = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", b"\0")
    (tmp_path / "a.png").write_bytes(png(values, bits, PALETTE, more))
    right = palette[values] / 255
    right[values == 0] = 1
    check(tmp_path / "a.png", right)


def test_half_transparent_grey_and_palettes(tmp_path):
    grey, alpha = RNG.integers(0, 256, (2, 6, 8), dtype=np.uint8)
    Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "a.png")
    check(tmp_path / "a.png", 1 - alpha / 255 * (1 - grey / 255))
    Image.fromarray(grey).save(tmp_path / "a.gif", transparency=int(grey[0, 0]))
    check(tmp_path / "a.gif", np.where(grey == grey[0, 0], 1, grey / 255))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 32])
def test_tiff_files_with_white_as_zero(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (6, 8))
    for photometric, right in ((1, values / (2**bits - 1)), (0, 1 - values / (2**bits - 1))):
        if bits == 32 and photometric == 0:
            pytest.importorskip("tifffile", reason="needs tifffile: pip install 'isavae[data]'")
        (tmp_path / "a.tif").write_bytes(tiff(values, bits, photometric))
        check(tmp_path / "a.tif", right, values=parse_range("dtype"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_images_are_turned_upright_once(tmp_path, orientation, suffix):
    stored = np.zeros((16, 24), np.uint8)
    stored[:8, :8], stored[8:, :8], stored[:8, 8:] = 255, 120, 60
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.T,
        6: np.rot90(stored, -1), 7: stored[::-1, ::-1].T, 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{suffix}"
    how = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    Image.fromarray(stored).save(path, exif=exif, **how)
    found = find_preprocessing([str(path)], channels=1).read(str(path))[0]
    assert found.shape == turned.shape
    assert np.abs(found - turned.astype(int)).max() <= (8 if suffix == "jpg" else 2)
    assert image_sizes([str(path)]) == [turned.shape[::-1]]
    if suffix != "tif":
        return
    pages = io.BytesIO()
    Image.fromarray(stored).save(
        pages, "TIFF", exif=exif, save_all=True, append_images=[Image.fromarray(stored)]
    )
    np.testing.assert_array_equal(
        find_preprocessing([str(path)], channels=1).decode(pages.getvalue()).pixels[0], turned
    )
