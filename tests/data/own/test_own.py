"""A user's own images: folders, arrays and tables of factors, right, ambiguous and damaged."""

import os
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from isavae.data import load
from isavae.data.image_statistics import contact_sheet, inspect
from isavae.data.own import arrays, find_preprocessing
from isavae.data.own import folder as folder_reader
from isavae.data.own import open as own_module
from isavae.data.own.decoding import DecodedImage
from isavae.data.own.factor_table import read_factors
from isavae.data.own.open import open_path
from isavae.data.own.preprocessing import Preprocessing
from isavae.metrics import Codes, mig


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def colours(n=5, h=6, w=8):
    return np.random.default_rng(0).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def write_images(folder, images, suffix="png"):
    for k, image in enumerate(images):
        (folder / f"part{k % 2}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"part{k % 2}" / f"{k:03}.{suffix}", lossless=True)


def as_bytes(dataset):
    return (dataset.batch(range(len(dataset))) * 255).round().byte().numpy()


def test_a_path_in_the_current_folder_keeps_its_name(folder, monkeypatch):
    write_images(folder, colours())
    np.save(folder / "stack.npy", colours())
    monkeypatch.chdir(folder.parent)
    assert repr(load("own[size=6x8, fit=crop]")).startswith("ImageDataset(own")
    monkeypatch.chdir(folder)
    assert repr(load("stack.npy")).startswith("ImageDataset(stack.npy")
    assert open_path(Path("part0")).name == "part0"


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "bmp"])
def test_images_of_a_folder_come_by_name(folder, suffix, monkeypatch):
    monkeypatch.setattr(folder_reader, "BLOCK", 64 * 6 * 8 * 3)
    images = colours(n=150)  # more than one block
    write_images(folder, images, suffix)
    order = [*range(0, 150, 2), *range(1, 150, 2)]
    dataset = load(str(folder))
    assert np.array_equal(as_bytes(dataset), images[order].transpose(0, 3, 1, 2))


def test_jpeg_grey_sixteen_bit_transparent_and_turned_images(folder):
    grey = colours()[0, ..., 0]
    Image.fromarray(grey).save(folder / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "b.png")
    assert np.array_equal(as_bytes(load(str(folder))), np.stack([grey, grey])[:, None])
    smooth = np.full((6, 8, 3), (90, 60, 30), np.uint8)
    clear = np.dstack([smooth, np.zeros((6, 8), np.uint8)])
    Image.fromarray(clear).save(folder / "c.png")
    Image.fromarray(smooth.transpose(1, 0, 2)).save(folder / "d.jpg", exif=_turned())
    pixels = as_bytes(load(str(folder)))
    assert pixels.shape == (4, 3, 6, 8)  # one coloured image makes all coloured
    assert np.array_equal(pixels[0], np.stack([grey] * 3))
    assert (pixels[2] == 255).all()
    assert np.abs(pixels[3].mean((1, 2)) - (90, 60, 30)).max() <= 2


def test_images_without_a_colour_are_grey_however_they_are_stored(folder):
    grey = np.repeat(colours()[0, ..., :1], 3, axis=2)
    Image.fromarray(grey).save(folder / "a.png")
    faint = grey // 2 + np.array([0, 8, 4], np.uint8)
    Image.fromarray(faint).save(folder / "b.png")  # as much colour as JPEG gives to grey
    assert load(str(folder)).shape == (1, 6, 8)
    assert load(f"{folder}[channels=3]").shape == (3, 6, 8)
    faint[2, 3] = (10, 19, 10)
    Image.fromarray(faint).save(folder / "b.png")
    assert load(str(folder)).shape == (3, 6, 8)


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_mixed_sizes_need_a_rule_and_follow_it(folder):
    left_right = np.zeros((8, 16, 3), np.uint8)
    left_right[:, 8:] = 255
    Image.fromarray(left_right).save(folder / "a.png")
    Image.fromarray(left_right[:, 4:12]).save(folder / "b.png")
    with pytest.raises(ValueError, match=r"8 x 8, others are 8 x 16.*give a size and a fit"):
        load(str(folder))
    with pytest.raises(ValueError, match="add fit=crop, fit=pad or fit=stretch"):
        load(f"{folder}[size=8]")
    cropped = as_bytes(load(f"{folder}[size=8, fit=crop]"))
    assert np.array_equal(cropped[0], cropped[1])
    assert np.array_equal(cropped[0, 0], left_right[:, 4:12, 0])
    padded = as_bytes(load(f"{folder}[size=16, fit=pad]"))[0, 0]
    assert (padded[:4] == 0).all()
    assert np.array_equal(padded[4:12], left_right[..., 0])
    stretched = as_bytes(load(f"{folder}[size=8|4, fit=stretch]"))
    assert stretched.shape == (2, 1, 8, 4)
    assert (stretched[0, 0][:, 0] == 0).all()


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


def test_damaged_images_are_named_and_left_out_with_their_factors(folder, monkeypatch):
    monkeypatch.setattr(folder_reader, "BLOCK", 7 * 6 * 8 * 3)  # 7 images a block
    images = colours(n=150)
    write_images(folder, images)
    (folder / "factors.csv").write_text("n\n" + "\n".join(str(k % 7) for k in range(150)))
    damage(folder / "part0/000.png")  # the first of all
    damage(folder / "part1/001.png")  # in the middle of a block
    with pytest.warns(UserWarning, match=r"2 of 150 images are left out: part0/000\.png \(.+\);"):
        dataset = load(f"{folder}[factors_by_order=yes]")
    order = np.array([*range(2, 150, 2), *range(3, 150, 2)])
    assert np.array_equal(as_bytes(dataset), images[order].transpose(0, 3, 1, 2))
    positions = np.delete(np.arange(150), [0, 75])
    assert dataset.grid.column("n").tolist() == (positions % 7).tolist()


def test_one_damaged_image_is_left_out(folder):
    write_images(folder, colours(n=20))
    damage(folder / "part0/000.png")
    with pytest.warns(UserWarning, match="^1 of 20 images is left out: part0/000"):
        assert len(load(str(folder))) == 19


def test_a_folder_of_damaged_images_alone_is_refused(folder):
    write_images(folder, colours())
    for path in folder.glob("*/*.png"):
        damage(path)
    with pytest.raises(ValueError, match=r"must be readable, but part0/000\.png \(.*image"):
        load(str(folder))
    assert list(folder.parent.glob("cache/*")) == []


def test_a_folder_without_images(folder):
    (folder / ".hidden.png").write_bytes(b"")
    with pytest.raises(ValueError, match="must hold images"):
        load(str(folder))


def test_a_changed_folder_is_read_again(folder):
    write_images(folder, colours())
    assert len(load(str(folder))) == 5
    kept = list(folder.parent.glob("cache/*"))
    assert len(load(str(folder))) == 5
    assert list(folder.parent.glob("cache/*")) == kept
    Image.fromarray(colours()[0]).save(folder / "new.png")
    assert len(load(str(folder))) == 6


@pytest.mark.parametrize("kind", ["npy", "npz", "npz-compressed", "h5"])
@pytest.mark.parametrize("axes", ["hw", "hwc", "chw"])
def test_arrays_are_recognised(folder, kind, axes):
    images = colours()
    array = {"hw": images[..., 0], "hwc": images, "chw": images.transpose(0, 3, 1, 2)}[axes]
    path = folder / f"array.{kind.split('-')[0]}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["renders"] = array
    else:
        save = np.savez if kind == "npz" else np.savez_compressed
        save(path, images=array, other=np.arange(3))
    expected = images.transpose(0, 3, 1, 2)
    assert np.array_equal(as_bytes(load(str(path))), expected[:, :1] if axes == "hw" else expected)


def test_floats_and_binary_arrays(folder):
    binary = np.random.default_rng(1).integers(0, 2, (9, 5, 5))
    for dtype in (bool, np.uint8, np.float32):
        np.save(folder / "binary.npy", binary.astype(dtype))
        dataset = load(str(folder / "binary.npy"))
        assert dataset.is_binary
        assert np.array_equal(dataset.batch(range(9)).numpy()[:, 0], binary)
    floats = colours() / 255
    np.save(folder / "floats.npy", floats)
    assert np.array_equal(
        as_bytes(load(str(folder / "floats.npy"))), colours().transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3, 5, 3), np.uint8), r"axes.*hwc or chw"),
        (np.zeros((4, 7, 5, 6), np.uint8), "one axis of 1, 3 or 4"),
        (np.zeros(7, np.uint8), r"\(n, h, w\)"),
        (np.zeros((4, 7, 5), np.complex64), "complex64: give its real part or its size"),
        (np.full((4, 7, 5), np.inf), "finite numbers"),
        (np.full((4, 7, 5), np.nan), "NaN or infinity: replace such values, or leave out"),
        (np.zeros((2, 3, 4, 7, 5), np.uint8), r"\(2, 3, 4, 7, 5\): reshape it"),
        (np.zeros((4, 7, 5), "M8[D]"), r"datetime64\[D\]: convert it"),
        (np.array([[[{}]]]), "Python objects"),
        (np.zeros((0, 7, 5), np.uint8), "array"),
    ],
)
def test_other_arrays_are_refused_in_a_sentence(folder, array, message):
    np.save(folder / "array.npy", array)
    with pytest.raises(ValueError, match=message) as refusal:
        load(str(folder / "array.npy"))
    assert "\n" not in str(refusal.value)


def test_axes_can_be_given(folder):
    np.save(folder / "array.npy", np.arange(4 * 3 * 5 * 3, dtype=np.uint8).reshape(4, 3, 5, 3))
    assert load(f"{folder}/array.npy[axes=hwc]").shape == (3, 3, 5)
    assert load(f"{folder}/array.npy[axes=chw]").shape == (3, 5, 3)


def test_files_that_are_no_arrays(folder):
    for suffix in ("npy", "npz", "h5"):
        (folder / f"bad.{suffix}").write_bytes(b"\x93NUMPY not really" * 9)
        with pytest.raises(ValueError, match=r"(get the|use another) file"):
            load(str(folder / f"bad.{suffix}"))
    for name, advice in {
        "bad.txt": "convert it to one of these",
        "images.zip": "unpack it, and give the folder",
        "images.tar.gz": "unpack it, and give the folder",
        "images.PT": "save its array of images with numpy.save",
        "film.mp4": "save its frames as images",
        "table.csv": "factors=PATH names a table of factors",
    }.items():
        (folder / name).write_text("x")
        with pytest.raises(ValueError, match=f"must be a folder or an .* image file: .*{advice}"):
            load(str(folder / name))
    with zipfile.ZipFile(folder / "many.npz", "w") as archive:
        archive.writestr("a.npy", b"")
        archive.writestr("b.npy", b"")
    with pytest.raises(ValueError, match=r"one array, or one named.*\['a', 'b'\]"):
        load(str(folder / "many.npz"))


def test_factors_by_file_name(folder):
    write_images(folder, colours())
    (folder / "factors.csv").write_text(
        "file,kind,weight\npart1/001.png,cat,10\npart0/002.png,dog,2\npart0/000.png,,2\n"
    )
    grid = load(str(folder)).grid
    assert grid.names == ("kind", "weight")
    assert grid.categories == {"kind": ("cat", "dog"), "weight": (2, 10)}
    assert grid.ordered == ("weight",)
    names = [f"part{k % 2}/{k:03}.png" for k in (0, 2, 4, 1, 3)]
    rows = dict(zip(names, grid.labels_array().tolist(), strict=True))
    assert rows["part0/000.png"] == [-1, 0]
    assert rows["part0/002.png"] == [1, 0]
    assert rows["part1/001.png"] == [0, 1]
    assert rows["part1/003.png"] == [-1, -1]
    cats = load(f"{folder}[kind=cat]")
    assert np.array_equal(as_bytes(cats)[0], colours()[1].transpose(2, 0, 1))


def test_factors_in_order_of_the_images(folder):
    np.save(folder / "images.npy", colours())
    (folder / "table.csv").write_text("angle\n0.5\n-1\n0.5\n\n7\n")
    with pytest.raises(ValueError, match=r"row 4 has 0"):
        load(f"{folder}/images.npy[factors={folder}/table.csv]")
    (folder / "table.csv").write_text('angle,"a b"\n0.5,x\n-1,y\n0.5,y\n,y\n7,x\n')
    grid = open_path(folder / "images.npy", factors=folder / "table.csv").grid
    assert grid.labels_array().tolist() == [[1, 0], [0, 1], [1, 1], [-1, 1], [2, 0]]
    assert grid.categories == {"angle": (-1, 0.5, 7), "a b": ("x", "y")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("kind\ncat\n", "a line for each of the 2 images"),
        (
            "kind,weight\ncat\ndog,1\n",
            "as many entries in every row as in its header, 2, but row 1 has 1: correct",
        ),
        ("file,kind\na.png,cat,\nb.png,dog,\n", "row 1 has 3"),
        ("file,kind\n", "must have rows of factors, but has only a header"),
        ("kind,kind\ncat,1\ndog,1\n", "'kind' is the head of several: rename one"),
        ("file,kind\nz.png,cat\n", r"'z\.png' is none"),
        ("file,kind\na.png,cat\na.png,dog\n", "comes twice"),
        ("file\na.png\nb.png\n", "a column with a factor"),
        ('kind\n"cat\n', "must be a CSV file"),
    ],
)
def test_tables_that_do_not_fit(folder, text, message):
    (folder / "table.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_factors(folder / "table.csv", 2, ["a.png", "b.png"], by_order=True)


def test_memory_stays_bounded_while_a_folder_is_read(folder, monkeypatch):
    """Only some blocks are decoded ahead of those that were taken."""
    read = []
    monkeypatch.setattr(folder_reader, "BLOCK", 2 * 2 * 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def decode(self, file, page):
        read.append(file.source)
        return DecodedImage(
            np.zeros((1, 2, 2), np.uint8), pages=1, clips=False, cut=0.0, dtype=np.dtype(np.uint8)
        )

    monkeypatch.setattr(Preprocessing, "decode", decode)
    write_images(folder, np.zeros((200, 2, 2), np.uint8))
    own = folder_reader.read_folder(folder, Preprocessing((2, 2), channels=1))
    assert next(own.blocks).shape == (2, 1, 2, 2)
    time.sleep(0.5)  # time enough to decode all, if nothing held it back
    assert 0 < len(read) <= 2 * (4 * 2 + 1)
    assert sum(len(block) for block in own.blocks) == 198
    assert sorted(read) == folder_reader.image_files(folder)


@pytest.mark.parametrize("version", [1, 2])
def test_a_long_header_of_an_array_is_refused_before_it_is_read(folder, version):
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3)}".ljust(20_000) + b"\n"
    length = len(head).to_bytes(2 * version, "little")
    start = b"\x93NUMPY" + bytes([version, 0]) + length
    (folder / "a.npy").write_bytes(start + head + bytes(18))
    with pytest.raises(ValueError, match="a header of at most 10,000 bytes, but has 20,001"):
        load(f"{folder}/a.npy")


@pytest.mark.parametrize("shape", [b"print(1)", b"(2, 3", b"(2, 3, x)", b"-1", b"'a'"])
def test_a_header_that_numpy_does_not_write_is_refused_in_plain_words(folder, shape):
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + b"}\n"
    start = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little")
    (folder / "a.npy").write_bytes(start + head + bytes(18))
    with pytest.raises(
        ValueError, match=r"a\.npy must begin with a header as numpy\.save writes it"
    ):
        load(f"{folder}/a.npy")


def test_every_pass_over_many_files_shows_progress(folder, monkeypatch):
    write_images(folder, np.zeros((9, 2, 2), np.uint8))
    passes = {}

    def recorded(items, total, label, amount=len, unit=""):
        passes[label] = total
        return items

    for module in (arrays, find_preprocessing, own_module):
        monkeypatch.setattr(module, "progress", recorded)
    inspect(folder, "pages=all")
    counting = ("looking at sizes", "looking at values", "counting pages")
    assert passes == dict.fromkeys((*counting, f"reading {folder.name}"), 9)
    passes.clear()
    np.save(folder / "a.npy", np.zeros((7, 4, 4), np.float32))
    inspect(folder / "a.npy")
    assert passes == {"looking at values": 7, "reading a.npy": 7}


def test_inspection_tells_what_is_there(folder):
    images = colours()
    images[3] = images[1]
    write_images(folder, images)
    found = inspect(folder, sheet=folder.parent / "sheet.png")
    assert found.duplicates == 1
    assert found.sizes == {(8, 6): 5}
    assert "5 images of 3 x 6 x 8" in str(found)
    assert "1 repeats an earlier image" in str(found)
    assert contact_sheet(load(str(folder)), columns=3, rows=2).shape == (12, 24, 3)
    with Image.open(folder.parent / "sheet.png") as sheet:
        assert sheet.size == (16 * 8, 6)
    Image.fromarray(colours()[0, :3]).save(folder / "small.png")
    assert "give a size and a fit" in str(inspect(folder))
    assert "6 images of 3 x 4 x 4" in str(inspect(folder, "size=4, fit=crop"))
    with pytest.raises(ValueError, match="is not there"):
        inspect(folder / "absent")


def test_partial_and_unbalanced_factors_reach_the_scores(folder):
    """A latent that follows a factor of the table has information about it; gaps do no harm."""
    random = np.random.default_rng(0)
    classes = random.choice(4, 400, p=[0.1, 0.2, 0.3, 0.4])
    np.save(folder / "images.npy", random.integers(0, 256, (400, 4, 4), dtype=np.uint8))
    rows = [f"{'' if k % 5 == 0 else c},{random.integers(2)}" for k, c in enumerate(classes)]
    (folder / "table.csv").write_text("\n".join(["class,coin", *rows]))
    grid = load(f"{folder}/images.npy[factors={folder}/table.csv]").grid
    mean = torch.from_numpy(np.stack([classes, random.normal(size=400)], 1)).float()
    codes = Codes(mean, torch.tensor([[-4.0, 1.0]]).expand(400, 2).clone(), grid)
    found = mig(codes, factors=["class"])
    assert found.value > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=0, fit=crop", "size must be two positive"),
        ("size=big, fit=crop", "size must be whole numbers"),
        ("size=::2", "must be a value, but is a range"),
        ("fit=squash", "fit must be one of crop, pad, stretch, but is 'squash'"),
        ("channels=2", r"000\.png \(has 3 channels, but must have 2"),
        ("channels=0", "channels must be positive"),
        ("channels=grey", "channels must be a whole number"),
        ("axes=wh", "axes must be one of hw, hwc, chw"),
        ("factors=absent.csv", "absent.csv"),
        ("kind=cat", "no factors"),
    ],
)
def test_options_that_cannot_be_followed(folder, options, message):
    write_images(folder, colours())
    with pytest.raises((ValueError, OSError), match=message):
        load(f"{folder}[{options}]")


def test_numbers_choose_categories_first(folder):
    np.save(folder / "images.npy", colours())
    (folder / "table.csv").write_text("angle,code\n0.5,7a\n-1,1\n0.5,1\n7,1\n7,7a\n")
    path = f"{folder}/images.npy[factors={folder}/table.csv, "
    chosen = {
        text: as_bytes(load(f"{path}{text}]")) for text in ("angle=0.5", "angle=-1", "code=1")
    }
    expected = colours().transpose(0, 3, 1, 2)
    assert np.array_equal(chosen["angle=0.5"], expected[[0, 2]])
    assert np.array_equal(chosen["angle=-1"], expected[[1]])
    assert np.array_equal(chosen["code=1"], expected[[1, 2, 3]])
