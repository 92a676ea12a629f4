"""Files as they lie in folders: formats, links, names; what is not read is named."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isavae.cli import main
from isavae.data import Preprocessing, load
from isavae.data.image_statistics import inspect
from isavae.data.own.image_file import FORMATS, SUFFIXES, UnreadableImageError
from isavae.data.own.image_listing import walk
from isavae.fitting import read_training_images
from isavae.fitting.codes_table import encode_images, write_table
from isavae.runs import RunConfig, TrainedModel, build_model

pytestmark = pytest.mark.system

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (16, 16), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


WRITABLE = [suffix for suffix in SUFFIXES if suffix not in (".avif", ".pbm", ".pfm", ".jpc")]


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("upper", [False, True])
def test_what_pillow_reads_is_read(folder, suffix, upper):
    smooth = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8) * 8
    path = folder / f"a{suffix.upper() if upper else suffix}"
    image = Image.fromarray(smooth).convert("RGB" if suffix == ".ppm" else "L")
    kind = next(name for name, suffixes in FORMATS.items() if suffix in suffixes)
    image.save(path, "BMP" if suffix == ".dib" else kind)
    found = load(str(folder)).batch([0]).numpy()[0]
    np.testing.assert_allclose(found, np.broadcast_to(smooth / 255, found.shape), atol=0.05)


def test_one_file_in_capitals_is_an_image(folder):
    Image.new("L", (8, 8), 200).save(folder / "SCAN.PNG")
    assert len(load(str(folder / "SCAN.PNG"))) == 1


def test_an_image_never_starts_another_program(folder):
    (folder / "cat.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    with pytest.raises(ValueError, match=r"cat\.png \(no image"):
        load(str(folder))


def test_a_png_file_with_a_wrong_sum_is_left_out(folder):
    Image.fromarray(GREY).save(folder / "a.png")
    whole = bytearray((folder / "a.png").read_bytes())
    whole[-13] ^= 1  # the sum of the pixels, before the last chunk
    (folder / "b.png").write_bytes(whole)
    with pytest.warns(UserWarning, match=r"1 of 2 images is left out: b\.png"):
        load(str(folder))


def test_of_a_damaged_tiff_file_only_the_sentence_is_printed(folder):
    """The logger of its reader would print a line for each tag, in a process of its own."""
    path = folder / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.float16), photometric="minisblack")
    damaged = bytearray(path.read_bytes())
    damaged[60:100] = bytes(value ^ 0x5A for value in damaged[60:100])
    path.write_bytes(damaged)
    inspecting = [sys.executable, "-m", "isavae", "data", "inspect", str(folder)]
    ended = subprocess.run(inspecting, capture_output=True, text=True)
    assert "a.tif (" in ended.stdout
    assert ended.stderr == ""


def test_links_are_followed_and_odd_files_are_named(folder, tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    Image.fromarray(GREY).save(tmp_path / "elsewhere" / "deep" / "a.png")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "notes.txt").write_text("x")
    with pytest.warns(UserWarning, match="3 of 4 images are left out") as said:
        data = load(str(folder))
    assert len(data) == 1
    assert "pipe.png (not a regular file)" in str(said[0].message)
    assert "nowhere.png (No such file or directory)" in str(said[0].message)
    assert "1 other file: notes.txt" in str(data.notes)
    assert load(str(folder)).notes == data.notes  # from the cache, too


def test_links_in_a_circle_are_followed_once(folder, monkeypatch):
    (folder / "deep").mkdir()
    Image.fromarray(GREY).save(folder / "deep" / "a.png")
    for name in ("self", "deep/back", "deep/again"):
        (folder / name).symlink_to(folder)
    listed = []

    def scandir(path, list_folder=os.scandir):
        listed.append(path)
        assert len(listed) < 100  # followed for ever there would be 3 ** 40
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert walk(folder) == ([f"{folder}/deep/a.png"], [])
    assert listed == [str(folder), f"{folder}/deep"]


@pytest.mark.parametrize("name", ["a [1] b", "[x]", "c[size=8]", "n" * 255])
def test_paths_may_hold_brackets_and_be_long(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    Image.fromarray(GREY).save(folder / f"{'m' * 250}.png")
    assert load(str(folder)).shape == (1, 16, 16)
    assert load(f"{folder}[size=8x4, fit=crop]").shape == (1, 8, 4)


def test_names_that_are_no_text_reach_the_table_of_codes(folder, tmp_path):
    with open(os.fsencode(folder) + b"/\xff.png", "wb") as file:
        Image.fromarray(GREY).save(file, "PNG")
    config = RunConfig(prior="normal", n_latents=2, width=8)
    model = TrainedModel(build_model(config, (1, 16, 16)), config, (1, 16, 16))
    table, _ = encode_images(model, folder)
    write_table(table, tmp_path / "codes.csv")
    assert (tmp_path / "codes.csv").read_text().splitlines()[1].startswith("\\xff.png,")


@given(
    content=st.binary(max_size=200), start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0"])
)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_an_image_or_refused(content, start):
    try:
        assert Preprocessing((4, 4)).read(start + content).shape == (3, 4, 4)
    except UnreadableImageError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


def test_hidden_and_other_files_are_named_alike_everywhere(folder, tmp_path, capsys):
    for k in range(16):
        Image.fromarray(GREY + np.uint8(k)).save(folder / f"{k:02}.png")
    for name in (".DS_Store", "._00.png", "Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / ".git").mkdir()
    (folder / ".git" / "logo.png").write_bytes(b"")
    others = "5 other files: .DS_Store, ._00.png, .git, Thumbs.db, notes.txt: not read"
    assert others in str(load(str(folder)).notes)
    assert len(load(str(folder))) == 16
    assert others in str(inspect(folder))
    assert others in str(read_training_images(folder).notes)
    config = RunConfig(prior="normal", n_latents=2, width=8)
    model = TrainedModel(build_model(config, (1, 16, 16)), config, (1, 16, 16))
    assert others in str(encode_images(model, folder)[1])
    flags = ["--steps", "1", "--batch-size", "4", "--width", "8", "--prior", "normal"]
    flags += ["--n-latents", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", str(folder), *flags]) == 0
    assert others in capsys.readouterr().out
    (folder / "factors.csv").write_text("file,kind\n00.png,a\n01.png,b\n")
    assert others in str(load(str(folder)).notes)  # a table that is read is no other file


@pytest.mark.skipif(sys.platform == "win32", reason="needs names with any character")
def test_a_name_begins_no_line_and_turns_none(folder, capsys):
    Image.new("L", (2, 2)).save(folder / "a.png")
    for name in ("b\nisavae: all is well.png", "c\u200f\u061c\u2028.png", "d\r\x1b[2J.txt"):
        (folder / name).write_bytes(b"no image")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["data", "inspect", str(folder)]) == 0
    said = "".join(capsys.readouterr())
    assert r"b\nisavae: all is well.png (no image" in said
    assert r"c\u200f\u061c\u2028.png (no image" in said
    assert r"d\r\x1b[2J.txt" in said
