"""Image files of any number of channels: every value by the stated range, or one sentence."""

import sys

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main
from isavae.data import Preprocessing, load
from isavae.data.own.image_file import UnreadableImageError
from isavae.data.own.open import open_path
from isavae.explorer.describe import describe_model
from isavae.explorer.library import ServedModel
from isavae.explorer.uploads import read_upload
from isavae.fitting import read_training_images
from isavae.runs import TrainedModel

tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'isavae[data]'")

RNG = np.random.default_rng(0)
TOP = {"u1": 255, "<u2": 65535, ">u2": 65535, "i2": 2**15 - 1, "u4": 2**32 - 1, "f4": 1, "f8": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def pixels(name):
    data = load(str(name))
    return data.batch(range(len(data))).numpy()


def write(path, channels, planar=False, **how):
    """A TIFF file of channels (n, height, width)."""
    order = ">" if channels.dtype.str[0] == ">" else "<"
    how = {"photometric": "minisblack", "metadata": None, "byteorder": order} | how
    planes = channels if planar else np.moveaxis(channels, 0, -1)
    kind = "separate" if planar else "contig"
    tifffile.imwrite(path, planes, planarconfig=kind, **how)


def check(found, stored, top):
    np.testing.assert_allclose(found, stored / top, rtol=0, atol=0.51 / 255)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("dtype", TOP)
def test_channels_of_a_tiff_file_keep_their_values(folder, dtype, n, planar):
    stored = (RNG.random((n, 6, 8)) * TOP[dtype]).astype(dtype)
    write(folder / "a.tif", stored, planar)
    check(pixels(f"{folder}[range=0..{TOP[dtype]}]")[0], stored, TOP[dtype])


@pytest.mark.parametrize("how", [{"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 5}])
@pytest.mark.parametrize("planar", [False, True])
def test_tiles_strips_and_compression_keep_the_values(folder, how, planar):
    stored = RNG.integers(0, 4096, (4, 40, 24), dtype=np.uint16)
    write(folder / "a.tif", stored, planar, **how)
    check(pixels(f"{folder}[range=0..4095]")[0], stored, 4095)
    if "compression" in how:
        write(folder / "a.tif", stored, planar, predictor=True, **how)
        check(pixels(f"{folder}[range=0..4095]")[0], stored, 4095)


@pytest.mark.parametrize("planar", [False, True])
def test_colours_of_16_bits_and_of_floats(folder, planar):
    stored = RNG.integers(0, 65536, (3, 6, 8), dtype=np.uint16)
    write(folder / "a.tif", stored, planar, photometric="rgb")
    check(pixels(folder)[0], stored, 65535)
    write(folder / "a.tif", (stored / 65535).astype("f4"), planar, photometric="rgb")
    check(pixels(folder)[0], stored, 65535)
    write(folder / "a.tif", stored[[0, 0, 0]], planar, photometric="rgb")
    assert pixels(folder).shape == (1, 1, 6, 8)  # grey stays grey
    clear = np.concatenate([stored, np.full((1, 6, 8), 65535, np.uint16)])
    clear[3, 0] = 0
    write(folder / "a.tif", clear, planar, photometric="rgb", extrasamples=["unassalpha"])
    found = pixels(folder)[0]
    assert (found[:, 0] == 1).all()
    check(found[:, 1:], stored[:, 1:], 65535)


def test_four_channels_are_transparency_only_where_the_file_says_so(folder):
    stored = RNG.integers(0, 256, (4, 6, 8), dtype=np.uint8)
    write(folder / "a.tif", stored, photometric="rgb", extrasamples=["unspecified"])
    check(pixels(folder)[0], stored, 255)
    write(folder / "a.tif", stored, photometric="rgb", extrasamples=["unassalpha"])
    assert pixels(folder).shape == (1, 3, 6, 8)
    check(pixels(f"{folder}[channels=4]")[0], stored, 255)  # as it is stored
    grey = RNG.integers(0, 65536, (2, 6, 8), dtype=np.uint16)
    grey[1, 0], grey[1, 1:] = 0, 65535
    write(folder / "a.tif", grey, extrasamples=["unassalpha"])
    found = pixels(folder)[0]
    assert found.shape == (1, 6, 8)
    assert (found[0, 0] == 1).all()
    check(found[0, 1:], grey[0, 1:], 65535)


@pytest.mark.parametrize("planar", [False, True])
def test_inks_become_colours_or_channels(folder, planar):
    inks = RNG.integers(0, 256, (4, 6, 8), dtype=np.uint8)
    write(folder / "a.tif", inks, planar, photometric="separated")
    right = (1 - inks[:3] / 255) * (1 - inks[3] / 255)
    np.testing.assert_allclose(pixels(folder)[0], right, atol=1.01 / 255)
    check(pixels(f"{folder}[channels=4]")[0], inks, 255)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_hyperstacks_have_channels_and_pages(folder, kind, dtype):
    stored = (RNG.random((3, 2, 5, 6, 8)) * TOP.get(dtype, 65535)).astype(dtype)  # T, Z, C, Y, X
    options = {kind: True, "metadata": {"axes": "TZCYX"}}
    tifffile.imwrite(folder / "a.tif", stored, photometric="minisblack", **options)
    how = f"range=0..{TOP.get(dtype, 65535)}"
    check(pixels(f"{folder}[{how}]")[0], stored[0, 0], TOP.get(dtype, 65535))
    data = load(str(folder))
    assert "5 others are left out" in str(data.notes)
    found = pixels(f"{folder}[{how}, pages=all]")
    check(found, stored.reshape(6, 5, 6, 8), TOP.get(dtype, 65535))
    check(pixels(f"{folder}[{how}, pages=4]")[0], stored[1, 1], TOP.get(dtype, 65535))
    everything = pixels(f"{folder}[{how}, pages=channels]")
    check(everything[0], stored.reshape(30, 6, 8), TOP.get(dtype, 65535))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_pages_become_channels_where_asked(folder, n):
    stored = RNG.integers(0, 256, (n, 6, 8), dtype=np.uint8)
    images = [Image.fromarray(page) for page in stored]
    images[0].save(folder / "a.tif", save_all=True, append_images=images[1:])
    assert "pages=channels takes them for channels" in str(load(str(folder)).notes)
    data = load(f"{folder}[pages=channels]")
    assert data.notes == ()
    check(data.batch([0]).numpy()[0], stored, 255)
    images[0].save(folder / "b.tif")
    with pytest.warns(UserWarning, match=r"b\.tif \(has 1 channel, but"):
        load(f"{folder}[pages=channels, channels={n}]")


def test_images_of_other_channels_than_most_are_left_out_by_name(folder):
    for k in range(3):
        write(folder / f"{k}.tif", RNG.integers(0, 256, (4, 6, 8), dtype=np.uint8))
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(folder / "grey.png")
    with pytest.warns(UserWarning, match=r"grey\.png \(has 1 channel, but must have 4"):
        assert load(str(folder)).shape == (4, 6, 8)
    with pytest.warns(UserWarning, match=r"0\.tif \(has 4 channels, but must have 1"):
        assert load(f"{folder}[channels=1]").shape == (1, 6, 8)


def test_resizing_treats_every_channel_alike(folder):
    stored = RNG.integers(0, 65536, (5, 12, 20), dtype=np.uint16)
    write(folder / "a.tif", stored)
    found = pixels(f"{folder}[size=6x6, fit=crop, range=dtype]")[0]
    for channel, expected in enumerate(stored):
        plane = Image.fromarray(np.rint(expected / 257).astype(np.uint8))
        cut = plane.resize((6, 6), Image.Resampling.LANCZOS, box=(4, 0, 16, 12))
        np.testing.assert_allclose(found[channel], np.asarray(cut) / 255, atol=1.01 / 255)


def test_orientation_holds_for_channels(folder):
    stored = RNG.integers(0, 256, (4, 6, 8), dtype=np.uint8)
    write(folder / "a.tif", stored, extratags=[(274, 3, 1, 6, True)])
    check(pixels(folder)[0], np.rot90(stored, -1, (1, 2)), 255)


def damaged(folder, change):
    stored = np.zeros((4, 64, 64), np.uint8)
    write(folder / "a.tif", stored, compression="zlib", rowsperstrip=64)
    path = folder / "a.tif"
    with tifffile.TiffFile(path) as file:
        (offset,), (count,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content, offset, count))
    return path.read_bytes()


def test_claims_are_checked_before_values_are_read(folder, monkeypatch):
    one = Preprocessing((64, 64), channels=4)
    with pytest.raises(UnreadableImageError, match="ends before its last value"):
        one.read(damaged(folder, lambda content, offset, count: content[: offset + count - 9]))
    monkeypatch.setattr("isavae.data.own.tiff_file.MAX_PIXELS", 64 * 64 * 4 - 1)
    with pytest.raises(UnreadableImageError, match="more pixels than are safe"):
        one.read(damaged(folder, lambda content, offset, count: content))


def test_a_strip_that_unpacks_to_more_than_it_claims_is_refused(folder):
    write(folder / "big.tif", np.zeros((4, 4096, 64), np.uint8), compression="zlib",
          rowsperstrip=4096)  # fmt: skip
    content = (folder / "big.tif").read_bytes()
    for tag in (257, 278):  # height, and rows per strip
        at = max(content.find(tag.to_bytes(2, "little") + kind) for kind in (b"\3\0", b"\4\0"))
        content = content[: at + 8] + (64).to_bytes(4, "little") + content[at + 12 :]
    with pytest.raises(UnreadableImageError, match="more values than it claims"):
        Preprocessing((64, 64), channels=4).read(content)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"photometric": "separated"}, "16 bits per channel as CMYK;16"),
        ({"photometric": "cielab", "n": 3}, "stores CIELAB colours, which are not read"),
        ({"photometric": "rgb", "extrasamples": ["assocalpha"]}, "multiplied by|16 bits"),
        ({"n": 1, "photometric": "miniswhite", "dtype": "f8"}, "floats with 0 as white"),
        ({"dtype": "c8"}, "must hold integers or floats"),
    ],
)
def test_what_is_not_read_gets_one_sentence(folder, how, sentence):
    n, dtype = how.pop("n", 4), how.pop("dtype", "u2")
    stored = np.ones((n, 6, 8), dtype)
    if n == 1:
        tifffile.imwrite(folder / "a.tif", stored[0], metadata=None, **how)
    else:
        write(folder / "a.tif", stored, **how)
    with pytest.raises(ValueError, match=rf"a\.tif \(.*({sentence})"):
        load(str(folder))


def test_without_tifffile_the_package_is_named(folder, monkeypatch):
    write(folder / "a.tif", np.ones((4, 6, 8), np.uint8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ValueError, match=r"a\.tif \(.*package tifffile: pip install"):
        load(str(folder))


@pytest.mark.parametrize(("n", "planar"), [(2, False), (4, True), (5, False)])
def test_a_folder_of_fluorescence_images_works_everywhere(folder, tmp_path, n, planar, capsys):
    stored = RNG.integers(0, 4096, (20, n, 10, 12), dtype=np.uint16)
    for k, image in enumerate(stored):
        write(folder / f"{k:02}.tif", image, planar)
    run = tmp_path / "run"
    assert main(["data", "inspect", str(folder), "--sheet", str(tmp_path / "sheet.png")]) == 0
    shown = capsys.readouterr().out
    assert f"a sheet of them: {tmp_path / 'sheet.png'}\n" in shown
    assert f"20 images of {n} x 10 x 12" in shown
    flags = ["--width", "8", "--steps", "2", "--batch-size", "8", "--prior", "normal"]
    assert main(
        ["train", "--data", str(folder), "--out", str(run), "--n-latents", "2", *flags]
    ) == 0  # fmt: skip
    for figure in ("traversals", "reconstructions"):
        assert main(["figure", figure, str(run)]) == 0
    assert main(["encode", str(run), str(folder), "--out", str(tmp_path / "codes.csv")]) == 0
    model = TrainedModel.from_pretrained(run)
    assert describe_model(ServedModel("run", model, "1"))["shape"] == (1, 10, 12 * n)
    upload, _ = read_upload((folder / "03.tif").read_bytes(), model.preprocessing)
    check(upload.numpy()[0], stored[3], 4095)
    assert read_training_images(folder).images.shape == (20, n, 10, 12)
    assert open_path(folder).preprocessing == model.preprocessing


def test_the_channels_are_those_of_most_files(folder):
    for k in range(6):
        n = 2 if k < 2 else 5  # the first files are the exceptions
        write(folder / f"{k}.tif", RNG.integers(0, 256, (n, 6, 8), dtype=np.uint8))
    with pytest.warns(UserWarning, match="2 of 6 images are left out"):
        assert load(str(folder)).shape == (5, 6, 8)


def test_a_palette_gives_its_colours_as_channels_too(folder):
    image = Image.fromarray(RNG.integers(0, 3, (6, 8), dtype=np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(folder / "a.png")
    found = pixels(f"{folder}[pages=channels]")[0]
    np.testing.assert_array_equal(found, np.eye(3)[np.asarray(image)].transpose(2, 0, 1))
