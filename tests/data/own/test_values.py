"""Pixels of every type come out by the stated range, or not at all; nothing is left out unsaid."""

import struct
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

from isavae.data import load
from isavae.data.image_statistics import inspect
from isavae.data.own.value_range import ValueRange, natural_range

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def save(folder, images, suffix="tif"):
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k}.{suffix}")


def png_of_colours(colours, is_animated=False):
    """A PNG file of 16 bits per channel, which Pillow does not write; twice the same frame."""
    height, width, channels = colours.shape
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours))
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows)]
    if is_animated:
        frames = [
            (b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0))
            for number in (0, 1)
        ]
        chunks.insert(1, (b"acTL", struct.pack(">II", 2, 0)))
        chunks[2:2] = frames[:1]
        chunks += [frames[1], (b"fdAT", struct.pack(">I", 2) + rows)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )


def pixels(name):
    data = load(str(name))
    return data.batch(range(len(data))).numpy()


def check(name, stored, low, high):
    """The pixels are the stored values between low and high, within a level of 255."""
    found = pixels(name)
    expected = (np.asarray(stored, float) - low) / (high - low)
    assert found.shape[1] == 1  # grey stays grey
    np.testing.assert_allclose(found[:, 0], expected.clip(0, 1), rtol=0, atol=0.51 / 255)


FLOATS = RNG.random((4, 6, 8))
INTEGERS = RNG.integers(0, 4096, (4, 6, 8))


@pytest.mark.parametrize("container", ["tif", "npy", "npz", "h5"])
@pytest.mark.parametrize(
    ("stored", "low", "high"),
    [
        (FLOATS.astype("f4"), 0, 1),
        ((FLOATS * 1.0000003).astype("f4"), 0, 1),
        ((FLOATS * 2 - 1).astype("f4"), -1, 1),
        ((FLOATS * 255).astype("f4"), 0, 255),
        ((FLOATS * 60 + 250).astype("f4"), None, None),
        ((FLOATS * 1e-3).astype("f4"), None, None),
        (INTEGERS.astype(np.uint16), 0, 4095),
        ((INTEGERS // 4).astype(np.uint16), 0, 1023),
        ((INTEGERS * 16).astype(np.uint16), 0, 65535),
        (INTEGERS.astype(np.int32), 0, 4095),
        ((INTEGERS % 6).astype(np.int32), 0, 5),
        (INTEGERS.astype(np.int32) * 1000 - 5, None, None),
        ((INTEGERS % 201 - 100).astype(np.int16), None, None),
        (INTEGERS.astype(np.uint32) * 2**20, None, None),
    ],
)
def test_deep_values_follow_the_range_of_their_source(folder, stored, low, high, container):
    name = write(folder, stored, container)
    low, high = (stored.min(), stored.max()) if low is None else (low, high)
    check(name, stored, float(low), float(high))
    assert any("becomes black" in note for note in load(str(name)).notes)
    assert "becomes black" in str(inspect(name))


def write(folder, stored, container):
    path = folder / f"images.{container}"
    if container == "tif":
        for k, image in enumerate(stored):
            write_tiff(folder / f"{k}.tif", image)
        return folder
    if container == "npy":
        np.save(path, stored)
    elif container == "npz":
        np.savez(path, images=stored)
    else:
        with h5py.File(path, "w") as file:
            file["recording"] = stored
    return path


def write_tiff(path, image):
    """An uncompressed TIFF file of one channel of any type."""
    data = image.astype(image.dtype.newbyteorder("<")).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    height, width = image.shape
    fields = [
        (256, width),
        (257, height),
        (258, 8 * image.dtype.itemsize),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
        (339, kind),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(start + data + struct.pack("<H", len(fields)) + entries + bytes(4))


def test_a_given_range_holds_for_all_values_and_clips_are_counted(folder):
    save(folder, INTEGERS.astype(np.uint16))
    check(f"{folder}[range=0..8191]", INTEGERS, 0, 8191)
    check(f"{folder}[range=dtype]", INTEGERS, 0, 65535)
    check(f"{folder}[range=1000..2000]", INTEGERS, 1000, 2000)
    assert "4 of the images have values beyond" in str(inspect(folder, "range=1000..2000"))
    for wrong in ("range=5..1", "range=much", "range=0..inf"):
        with pytest.raises(ValueError, match="option range must be auto, dtype, or two numbers"):
            load(f"{folder}[{wrong}]")


def test_a_range_for_bytes_keeps_transparency_and_colour(folder):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    save(folder, [grey], "png")
    check(f"{folder}[range=0..47]", [grey], 0, 47)
    clear = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    clear[0, ..., 3] = 0
    Image.fromarray(clear).save(folder / "0.png")
    found = pixels(f"{folder}[range=0..47, channels=1]")[0, 0]
    assert (found[0] == 1).all()
    np.testing.assert_allclose(found[1:], grey[1:] / 47, atol=0.51 / 255)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_keep_all_of_their_bits(folder, channels):
    colours = RNG.integers(0, 1024, (6, 8, channels), dtype=np.uint16)
    colours[..., 3:] = 65535
    (folder / "a.png").write_bytes(png_of_colours(colours))
    expected = colours[..., :3].transpose(2, 0, 1) / 1023
    np.testing.assert_allclose(pixels(folder)[0], expected, atol=0.51 / 255)


def test_colours_of_bits_that_would_be_dropped_are_left_out_by_name(folder):
    save(folder, [np.zeros((6, 8), np.uint8)], "png")
    (folder / "a.png").write_bytes(png_of_colours(np.ones((6, 8, 2), np.uint16)))
    with pytest.warns(UserWarning, match=r"a\.png \(has 16 bits per channel as LA;16B"):
        assert len(load(str(folder))) == 1


def test_frames_of_deep_colours_are_left_out_by_name(folder):
    """Pillow puts frames together in bytes: lower bytes of a part were the upper ones of others."""
    colours = RNG.integers(0, 2**16, (6, 8, 3)).astype(np.uint16)
    (folder / "a.png").write_bytes(png_of_colours(colours))
    (folder / "b.png").write_bytes(png_of_colours(colours, is_animated=True))
    with pytest.warns(UserWarning, match=r"b\.png \(has several frames with 16 bits per colour"):
        assert len(load(str(folder))) == 1


def test_bytes_beside_deep_images_keep_their_own_range(folder):
    grey = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "a.png")
    Image.fromarray(INTEGERS[0].astype(np.uint16)).save(folder / "b.png")
    found = pixels(folder)[:, 0]
    np.testing.assert_allclose(found[0], grey / 255, atol=1e-6)
    np.testing.assert_allclose(found[1], INTEGERS[0] / 4095, atol=0.51 / 255)


def test_values_that_are_no_numbers_are_left_out_by_name(folder):
    bad = FLOATS.astype("f4")
    bad[1, 2, 3] = np.nan
    save(folder, bad)
    with pytest.warns(UserWarning, match=r"1\.tif \(has values that are not finite numbers"):
        assert len(load(str(folder))) == 3


def test_pages_and_frames_are_counted_or_read(folder):
    shades = [Image.fromarray(np.full((6, 8), shade, np.uint8)) for shade in (10, 90, 170)]
    for suffix in ("tif", "gif", "webp", "png"):
        shades[0].save(
            folder / f"a.{suffix}", save_all=True, append_images=shades[1:], lossless=True
        )
    shades[0].save(folder / "b.tif")
    data = load(str(folder))
    assert len(data) == 5
    assert "Of 4 files with several pages or frames one is read, 8 others are left out" in str(
        data.notes
    )
    assert "8 others are left out" in str(inspect(folder))
    with pytest.warns(UserWarning, match=r"b\.tif \(has no page 3, but 1\)"):
        third = load(f"{folder}[pages=3]")
    assert {round(float(image.mean()) * 255) for image in third} == {170}
    (folder / "factors.csv").write_text("file,depth\na.gif#1,1\nb.tif,2\na.tif#3,3\n")
    all_pages = load(f"{folder}[pages=all]")
    found = [round(float(image.mean()) * 255) for image in all_pages]
    assert found == [10, 90, 170] * 4 + [10]
    assert all_pages.grid.column("depth").tolist() == [0, *[-1] * 7, 2, *[-1] * 3, 1]
    assert "left out" not in str(all_pages.notes)
    for wrong in ("pages=0", "pages=some"):
        with pytest.raises(ValueError, match="pages must be first, all, channels or a number"):
            load(f"{folder}[{wrong}]")


def test_what_cropping_cuts_off_is_said(folder):
    save(folder, [np.zeros((43, 13), np.uint8), np.zeros((13, 13), np.uint8)], "png")
    assert "up to 70% of one" in str(load(f"{folder}[size=13, fit=crop]").notes)
    assert load(f"{folder}[size=43x13, fit=pad]").shape == (1, 43, 13)
    assert load(f"{folder}[size=43x13, fit=stretch]").notes == ()


def test_zeros_and_ones_are_black_and_white_unless_their_type_counts(folder):
    masks = RNG.integers(0, 2, (4, 6, 8), dtype=np.uint8)
    masks[0] = 0
    np.save(folder / "masks.npy", masks)
    assert load(str(folder / "masks.npy")).is_binary
    check(folder / "masks.npy", masks, 0, 1)
    check(f"{folder}/masks.npy[range=dtype]", masks, 0, 255)


def test_a_source_that_covers_a_quarter_of_a_range_has_that_range():
    assert natural_range(0.0, 0.26) == (0.0, 1.0)
    assert natural_range(0.0, 0.24) == (0.0, 0.24)
    assert natural_range(10.0, 1100.0) == (0.0, 2047.0)


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (5, 101), (-9, 200)])
def test_values_beyond_either_end_of_a_range_are_counted(low, high):
    assert ValueRange(deep=(0.0, 100.0)).clips(np.array([low, high], np.int16))
    assert not ValueRange(deep=(0.0, 100.0)).clips(np.array([0, 100], np.int16))


def test_types_with_a_sign_have_their_own_black(folder):
    stored = (INTEGERS % 201 - 100).astype(np.int16)
    np.save(folder / "images.npy", stored)
    check(f"{folder}/images.npy[range=dtype]", stored, -32768, 32767)


def test_the_range_is_that_of_all_pages_that_are_read(folder):
    pages = [Image.fromarray((INTEGERS[k] >> 2 * (1 - k)).astype(np.uint16)) for k in range(2)]
    for k in range(3):
        pages[0].save(folder / f"{k}.tif", save_all=True, append_images=pages[1:])
    check(folder, [INTEGERS[0] >> 2] * 3, 0, 1023)
    check(f"{folder}[pages=all]", [INTEGERS[0] >> 2, INTEGERS[1]] * 3, 0, 4095)


@pytest.mark.parametrize("size", ["100000x100000", "1x99999999999"])
def test_sizes_that_no_memory_holds_are_refused_before_they_are_tried(folder, size):
    save(folder, INTEGERS.astype(np.uint8), "png")
    with pytest.raises(ValueError, match=r"option size must be at most [0-9,]+ pixels, but is"):
        load(f"{folder}[size={size}, fit=pad]")
