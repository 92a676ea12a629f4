"""The largest images: decoded a part at a time, and no more of them at once than one would take."""

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
import tifffile
from PIL import Image

from isavae.data.own import find_preprocessing, image_file, image_values, value_range
from isavae.data.own.decoding import DecodedImage, decode
from isavae.data.own.folder import read_folder
from isavae.data.own.image_file import UnreadableImageError, open_image, room_for
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.own.threads import MOST_AHEAD, Budget, in_threads
from isavae.data.own.value_range import FULL_RANGE, ValueRange

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (23, 17, 4), dtype=np.uint8)
RANGE = ValueRange((20.0, 200.0), (20.0, 200.0))
IMAGES = {
    "grey.png": Image.fromarray(PIXELS[..., 0]),
    "colour.webp": Image.fromarray(PIXELS[..., :3]),
    "clear.png": Image.fromarray(PIXELS),
    "palette.gif": Image.fromarray(PIXELS[..., :3]).quantize(16),
    "binary.tif": Image.fromarray(PIXELS[..., 0] > 99),
    "deep.png": Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257),
    "real.tif": Image.fromarray(PIXELS[..., 0].astype(np.float32)),
    "inks.jpg": Image.fromarray(PIXELS[..., :3]).convert("CMYK"),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("values", [FULL_RANGE, RANGE], ids=["full", "range"])
@pytest.mark.parametrize("channels", [1, 3])
def test_parts_make_the_same_image_as_the_whole(
    tmp_path, monkeypatch, name, turn, values, channels
):
    exif = Image.Exif()
    exif[image_file.ORIENTATION] = turn
    path = str(tmp_path / name)
    IMAGES[name].save(path, **({} if name.endswith("gif") else {"exif": exif}))
    whole = decode(path, None, None, channels, values)
    monkeypatch.setattr(image_values, "AT_ONCE", 4 * 17)
    monkeypatch.setattr(value_range, "AT_ONCE", 5)
    parts = decode(path, None, None, channels, values)
    np.testing.assert_array_equal(parts.pixels, whole.pixels)
    assert parts.clips == whole.clips


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)])
def test_one_row_of_deep_values_stays_a_row(tmp_path, shape):
    values = np.linspace(0, 65535, 9).astype(np.uint16)[: np.prod(shape)].reshape(shape)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = decode(str(tmp_path / "a.png"), None, None, 1).pixels
    np.testing.assert_array_equal(found[0], np.rint(values / 257).astype(np.uint8))


def test_scaling_takes_little_more_than_its_result():
    values = np.zeros((4096, 4096), np.uint8)
    tracemalloc.start()
    try:
        RANGE.to_bytes(values)
        assert tracemalloc.get_traced_memory()[1] < 3 * values.nbytes
    finally:
        tracemalloc.stop()


def test_threads_take_no_more_than_there_is_and_all_get_their_turn():
    budget, taken, most = Budget(10), [0], []

    def work(amount):
        with budget.take(amount):
            taken[0] += min(amount, 10)
            most.append(taken[0])
            taken[0] -= min(amount, 10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 9, 4, 10, 99, 3, 7] * 20))
    assert len(most) == 140
    assert max(most) <= 10


def test_two_images_that_take_all_pixels_are_never_decoded_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "DECODED", Budget(2 * PIXELS[..., 0].size - 1))
    IMAGES["grey.png"].save(tmp_path / "a.png")
    both = Barrier(2, timeout=0.3)

    def work(_):
        with open_image(str(tmp_path / "a.png")) as image, room_for(image):
            both.wait()

    with ThreadPoolExecutor(2) as pool, pytest.raises(BrokenBarrierError):
        list(pool.map(work, range(2)))


def test_every_way_of_reading_an_image_checks_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "MAX_PIXELS", PIXELS[..., 0].size - 1)
    for name in ("clear.png", "deep.png", "real.tif"):
        path = str(tmp_path / name)
        IMAGES[name].save(path)
        for channels, page in ((1, 1), (3, 1), (4, 1), (1, "channels")):
            with pytest.raises(UnreadableImageError, match="more pixels than are safe"):
                decode(path, (8, 8), "crop", channels, page=page)
        assert find_preprocessing._limits(path, 1) == []


def test_a_pixel_of_a_format_that_takes_more_memory_counts_more(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "MAX_PIXELS", round(1.4 * PIXELS[..., 0].size))
    for name, is_read in (("grey.png", True), ("colour.webp", False)):
        IMAGES[name].save(tmp_path / name)
        if is_read:
            decode(str(tmp_path / name), None, None, 1)
        else:
            with pytest.raises(UnreadableImageError, match="more pixels than are safe"):
                decode(str(tmp_path / name), None, None, 1)


FRAMES = [Image.fromarray(RNG.integers(0, 256, (9, 7), dtype=np.uint8)) for _ in range(30)]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "stack.tif"])
def test_all_pages_of_a_file_are_read_in_one_pass(tmp_path, monkeypatch, name):
    path = tmp_path / name
    if name == "stack.tif":  # read by tifffile: Pillow knows no floats of 16 bits
        stack = np.stack([np.asarray(frame) for frame in FRAMES]).astype(np.float16)
        tifffile.imwrite(path, stack, photometric="minisblack")
    else:
        FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:])
    values = find_preprocessing._find_values([str(path)], "all")
    how = Preprocessing((9, 7), None, 1, values, "all")
    alone = [how.decode(str(path), k + 1).pixels for k in range(len(FRAMES))]
    opened = []
    really = image_file._opened

    def counted(*given):
        opened.append(given)
        return really(*given)

    monkeypatch.setattr(image_file, "_opened", counted)
    assert find_preprocessing._find_values([str(path)], "all") == values
    read = read_folder(tmp_path, how)
    np.testing.assert_array_equal(np.concatenate([*read.blocks]), np.stack(alone))
    assert read.count == len(FRAMES)
    assert len(opened) <= 4  # for the range and the pages, twice each


def test_large_results_are_not_made_ahead(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    made = []
    results = in_threads(lambda item: made.append(item) or item, range(100), MOST_AHEAD)
    assert next(results) == 0
    assert len(made) <= 2
    assert [*results] == [*range(1, 100)]


def test_colour_is_found_without_keeping_the_images_of_a_sample(tmp_path, monkeypatch):
    """Of 64 of the largest images, waiting for each other, 13 GB would be kept."""
    decoded = DecodedImage(
        np.zeros((3, 8, 8), np.uint8), pages=1, clips=False, cut=0.0, dtype=np.dtype(np.uint8)
    )
    monkeypatch.setattr(find_preprocessing, "decode", lambda *_: decoded)
    kept = []
    through = find_preprocessing.in_threads
    monkeypatch.setattr(
        find_preprocessing,
        "in_threads",
        lambda work, items: (kept.append(result) or result for result in through(work, items)),
    )
    files = [str(tmp_path / "a.png")] * 3
    assert find_preprocessing.find_preprocessing(files, (8, 8), "crop").channels == 1
    assert not any(isinstance(result, np.ndarray) for result in kept)
