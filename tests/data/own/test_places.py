"""Where images are looked for: whole disks, pipes, groups in a file, files that are swapped."""

import os

import h5py
import numpy as np
import pytest
from PIL import Image

from isavae.data import load
from isavae.data.own import image_file, image_listing
from isavae.data.own.decoding import decode
from isavae.data.own.image_file import UnreadableImageError
from isavae.data.own.image_listing import walk
from isavae.runs import RunConfig

pytestmark = pytest.mark.system

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")


def write_png(path, value):
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


def test_a_folder_of_other_files_is_refused_before_all_of_them_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(image_listing, "MOST_OTHERS", 50)
    for k in range(4):
        write_png(tmp_path / f"{k}.png", 60 * k)
        for name in range(10):
            (tmp_path / f"{k}-{name}.txt").touch()
    assert len(load(str(tmp_path))) == 4  # 40 others
    for k in range(200):
        (tmp_path / f"many{k}" / "deep").mkdir(parents=True)
    listed = []
    entries = image_listing._entries
    monkeypatch.setattr(
        image_listing, "_entries", lambda path: (listed.append(path), entries(path))[1]
    )
    with pytest.raises(ValueError, match=r"folders below .* only [0-4] are images"):
        load(str(tmp_path))
    assert len(listed) < 200


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("place", ["/usr", "/proc"])
def test_whole_systems_are_refused_with_a_sentence(place, monkeypatch):
    monkeypatch.setattr(image_listing, "MOST_OTHERS", 2_000)
    with pytest.raises(ValueError, match=r"name the folder that holds them|name another folder"):
        load(place)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()

    def refused(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(image_listing, "_entries", refused)
    with pytest.raises(ValueError, match=rf"{tmp_path} is not \(Permission denied\)"):
        walk(tmp_path)


@needs_pipes
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.png"])
def test_pipes_are_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=r"regular file|must be readable"):
        load(str(tmp_path / name))


@needs_pipes
def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path):
    """The check is of the file that was opened, not of what had its name before."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        decode(str(tmp_path / "pipe.png"), None, None, 1)


def test_an_image_that_is_swapped_after_its_check_is_read_as_checked(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", 10)
    write_png(tmp_path / "other.png", 200)
    os.symlink(tmp_path / "a.png", link := tmp_path / "link.png")
    verify = image_file._verify_png

    def swapped(file):
        verify(file)
        os.symlink(tmp_path / "other.png", tmp_path / "next")
        os.replace(tmp_path / "next", link)

    monkeypatch.setattr(image_file, "_verify_png", swapped)
    assert (decode(str(link), None, None, 1).pixels == 10).all()
    assert os.readlink(link).endswith("other.png")


def pixels(data):
    return (255 * data.batch(slice(None))[:, 0].numpy()).round()


@pytest.fixture
def nested(tmp_path):
    images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/deep/images"] = images
    return tmp_path / "a.h5", images


def test_arrays_in_groups_are_found_by_their_key(nested):
    path, images = nested
    for name in (path, f"{path}[key=train/deep/images]", f"{path}[key=/train/deep/images]"):
        data = load(str(name))
        assert (pixels(data) == images).all()
    with h5py.File(path, "a") as file:
        file["test/images"] = 255 - images
    with pytest.raises(ValueError, match=r"test/images.*train/deep/images.*give key=NAME"):
        load(str(path))
    data = load(f"{path}[key=test/images]")
    assert (pixels(data) == 255 - images).all()
    with pytest.raises(ValueError, match="an array 'train'"):
        load(f"{path}[key=train]")
    with h5py.File(path, "a") as file:
        file["images"] = images[:2]
    assert len(load(str(path))) == 2  # the only one outside of groups


@pytest.mark.parametrize("link", [h5py.SoftLink("/train"), h5py.ExternalLink("b.h5", "/train")])
def test_groups_that_links_lead_to_are_not_followed(nested, tmp_path, link):
    path, _ = nested
    path.rename(tmp_path / "b.h5")
    with h5py.File(path, "w") as file:
        file["away"] = link
        file["other"] = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="an array 'away/deep/images'"):
        load(f"{path}[key=away/deep/images]")


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_other_arrays_beside_the_images_are_named(tmp_path, suffix):
    """Labels in the file were left out without a word."""
    path = tmp_path / f"a.{suffix}"
    arrays = {"images": np.arange(256, dtype=np.uint8).reshape(4, 8, 8), "labels": np.arange(4)}
    if suffix == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            file.update(arrays)
    said = f"Other arrays of a.{suffix} are not read: labels."
    assert load(str(path)).notes == load(f"{path}[key=images]").notes == (said,)
    np.savez(tmp_path / "one.npz", arrays["images"])
    assert load(str(tmp_path / "one.npz")).notes == ()


@pytest.mark.parametrize(("start", "kind"), [(b"P6 4 4 4095\n", ">u2"), (b"P6 4 4 65535\n", ">u2")])
def test_colours_of_more_than_8_bits_are_not_cut_to_8(tmp_path, start, kind):
    """Of PPM, where PNG and TIFF keep them; grey ones are read whole."""
    (tmp_path / "a.ppm").write_bytes(start + np.full(48, 1000, kind).tobytes())
    with pytest.raises(ValueError, match="more than 8 bits per colour as PPM"):
        load(str(tmp_path))
    (tmp_path / "a.ppm").write_bytes(b"P6 4 4 100\n" + bytes([100] * 48))
    assert (pixels(load(str(tmp_path))) == 255).all()
    (tmp_path / "a.ppm").unlink()
    (tmp_path / "a.pgm").write_bytes(b"P5 4 4 4095\n" + np.full(16, 4095, ">u2").tobytes())
    (tmp_path / "b.pgm").write_bytes(b"P5 4 4 4095\n" + bytes(32))
    assert pixels(load(str(tmp_path)))[:, 0, 0].tolist() == [255, 0]


def test_a_name_of_several_images_is_told_as_such(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / "0.png", 100 * (folder == "b"))
    write_png(tmp_path / "1.png", 200)
    (tmp_path / "factors.csv").write_text("file,kind\n1.png,x\n0.png,y\n")
    with pytest.raises(ValueError, match=r"'0\.png' is the name of several, told by their paths"):
        load(str(tmp_path))
    (tmp_path / "factors.csv").write_text("file,kind\n1.png,x\nb/0.png,y\n2.png,z\n")
    with pytest.raises(ValueError, match=r"'2\.png' is none of them"):
        load(str(tmp_path))


@pytest.mark.skipif(os.sep != "/", reason="needs a single root of all folders")
def test_the_root_of_the_file_system_is_refused_before_it_is_listed(tmp_path, monkeypatch):
    listed = []
    monkeypatch.setattr(image_listing, "_entries", lambda path: listed.append(path) or iter(()))
    (tmp_path / "all").symlink_to("/")
    for place in ("/", "//", "/..", str(tmp_path / "all")):
        with pytest.raises(ValueError, match="is the root of the file system: name the folder"):
            load(place)
    assert not listed


def test_a_folder_that_is_removed_while_others_are_listed_is_no_error(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", 10)
    (tmp_path / "gone").mkdir()
    entries = image_listing._entries

    def removing(folder):
        yield from entries(folder)
        if folder == str(tmp_path):
            (tmp_path / "gone").rmdir()

    monkeypatch.setattr(image_listing, "_entries", removing)
    assert walk(tmp_path) == ([str(tmp_path / "a.png")], [])


@needs_pipes
def test_pipes_named_as_a_table_or_a_configuration_are_not_waited_for(tmp_path):
    write_png(tmp_path / "a.png", 10)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises((ValueError, OSError), match="regular file"):
        load(f"{tmp_path}[factors={tmp_path / 'pipe.csv'}]")
    with pytest.raises(ValueError, match="regular file"):
        RunConfig.from_file(tmp_path / "pipe.csv")
