"""Published files: read exactly, in the order of the grid; damaged or hostile ones refused."""

import io
import os
import shutil
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from isavae.data import dsprites, load
from isavae.data.official import OFFICIAL, import_official
from isavae.data.official.acquire import check_hash
from isavae.data.official.verify import verify_dsprites
from isavae.data.places import cache_file
from tests.cache_integrity import is_intact
from tests.official_files import SIZES, car_pixels, pixels, small, write_file

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def imported(name, path):
    return import_official(name, path, checked=False, official=small(name))


def unpacked(dataset):
    return (dataset.batch(range(len(dataset))) * (1 if dataset.is_binary else 255)).round().numpy()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *((name, ".npz") for name in SIZES if name != "cars3d"),
        ("dsprites-official", ".hdf5"),
        ("faces3d", ".old"),
        ("mpi3d-toy", ".packed"),
    ],
)
def test_images_come_in_the_order_of_the_grid(folder, name, suffix):
    dataset = imported(name, write_file(name, folder, suffix))
    assert dataset.grid == small(name).grid
    assert dataset.shape == OFFICIAL[name].shape
    assert np.array_equal(unpacked(dataset), pixels(name))
    assert is_intact(cache_file(name))
    assert np.array_equal(unpacked(load(name)), pixels(name))


def test_mpi3d_stays_in_its_file_where_it_is_not_packed(folder):
    path = write_file("mpi3d-toy", folder)
    dataset = imported("mpi3d-toy", path)
    assert isinstance(dataset.stored.base, np.memmap)
    assert dataset.stored.base.filename == str(path.resolve())
    assert cache_file("mpi3d-toy").stat().st_size < 2000 < path.stat().st_size
    assert dataset.minibatch(0, 0, 5).shape == (5, 3, 64, 64)
    whole = path.read_bytes()
    at = whole.index(pixels("mpi3d-toy").transpose(0, 2, 3, 1).tobytes()[:64])
    os.utime(path, (0, 0))
    with pytest.raises(ValueError, match="mpi3d-toy must be imported"):
        load("mpi3d-toy")
    status = path.stat()
    imported("mpi3d-toy", path)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not is_intact(cache_file("mpi3d-toy"))
    path.unlink()
    with pytest.raises(ValueError, match="mpi3d-toy must be imported"):
        load("mpi3d-toy")
    assert not is_intact(cache_file("mpi3d-toy"))


def test_a_zip_that_lies_about_where_an_array_lies_is_refused(folder):
    path = write_file("mpi3d-toy", folder)
    whole = bytearray(path.read_bytes())
    count = len(small("mpi3d-toy").grid)
    path.write_bytes(whole.replace(f"({count}, 64".encode(), f"({count + 1}, 64".encode()))
    with pytest.raises(ValueError, match=r"bytes of images\.npy"):
        imported("mpi3d-toy", path)
    np.savez(path, images=np.zeros((count, 64, 64, 4), np.uint8))
    with pytest.raises(ValueError, match=r"must have uint8 \(.*64, 3\), but has uint8 .*64, 4"):
        imported("mpi3d-toy", path)
    np.savez(path, images=np.zeros((count, 64, 64, 3)))
    with pytest.raises(ValueError, match="but has float64"):
        imported("mpi3d-toy", path)


@pytest.mark.parametrize("unpack", [False, True])
def test_cars_are_ordered_by_elevation_azimuth_and_line_of_the_list(folder, unpack):
    path = write_file("cars3d", folder)
    if unpack:
        with tarfile.open(path) as archive:
            # Python before 3.11.4 has no filters.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder / "unpacked", **safely)
        path = folder / "unpacked"
    dataset = imported("cars3d", path)
    cars, grid = car_pixels(dataset.grid), dataset.grid
    for row in range(len(grid)):
        elevation, azimuth, which = grid.values(row)
        image = Image.fromarray(np.ascontiguousarray(cars[which, ..., azimuth, elevation]))
        expected = np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
        assert np.array_equal(unpacked(dataset.take([row]))[0], expected)


def test_published_grids():
    sizes = {name: len(official.grid) for name, official in OFFICIAL.items()}
    assert sizes == {
        "dsprites-official": 737280,
        "faces3d": 50 * 21 * 11 * 11,
        "cars3d": 4 * 24 * 183,
        "shapes3d": 480000,
        "mpi3d-toy": 1036800,
        "mpi3d-realistic": 1036800,
        "mpi3d-real": 1036800,
        "smallnorb": 24300,
        "smallnorb-test": 24300,
    }


def test_a_file_with_another_hash_is_named_with_what_was_expected(folder):
    path = write_file("shapes3d", folder)
    with pytest.raises(
        ValueError, match=r"3dshapes.h5 must have the hash sha256:0a0f.*--unchecked"
    ):
        import_official("shapes3d", path)
    with pytest.raises(ValueError, match="isavae data download shapes3d"):
        load("shapes3d")


def test_a_right_hash_passes(folder):
    (folder / "abc").write_bytes(b"abc")
    check_hash(folder / "abc", "md5:900150983cd24fb0d6963f7d28e17f72")  # RFC 1321
    with pytest.raises(ValueError, match="must have the hash md5"):
        check_hash(folder / "abc", "md5:900150983cd24fb0d6963f7d28e17f73")


def test_a_missing_file_is_named(folder):
    path = write_file("smallnorb", folder)
    next(path.glob("*cat.mat.gz")).unlink()
    with pytest.raises(ValueError, match=r"training-cat\.mat\.gz and"):
        imported("smallnorb", path)
    with pytest.raises(ValueError, match=r"basel_face_renders\.pth"):
        import_official("faces3d", folder / "absent.pth")
    with pytest.raises(ValueError, match="one of dsprites-official"):
        import_official("nothing", path)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


class AnyMemory:
    """A pickle of few bytes that takes any number of them, and names nothing that torch refuses."""

    def __reduce__(self):
        return bytearray, (1 << 40,)


def hostile(folder):
    """(name of the data set, file, what the sentence says)."""
    dsprites, count = (
        OFFICIAL["dsprites-official"].files[0].name,
        len(small("dsprites-official").grid),
    )
    order = np.column_stack([np.zeros(count, int), small("dsprites-official").grid.labels_array()])
    images = pixels("dsprites-official")[:, 0]

    def npz(kind, **arrays):
        (folder / kind).mkdir()
        return write_npz(folder / kind / dsprites, **arrays)

    yield "dsprites-official", npz("a", imgs=images), "latents_classes"
    yield "dsprites-official", npz("b", imgs=images[:-1], latents_classes=order), "uint8"
    yield "dsprites-official", npz("c", imgs=images * 1.0, latents_classes=order), "float64"
    yield "dsprites-official", npz("d", imgs=images * 7, latents_classes=order), "0 or 1"
    yield "dsprites-official", npz("e", imgs=images, latents_classes=order[::-1]), "another order"
    objects = np.array([{}] * count, dtype=object)
    yield "dsprites-official", npz("f", imgs=objects, latents_classes=order), "Python objects"

    bomb = folder / "real.npz"  # claims a terabyte
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        head = io.BytesIO()
        shape = {"descr": "|u1", "fortran_order": False, "shape": (1 << 30, 64, 64, 3)}
        np.lib.format.write_array_header_1_0(head, shape)
        archive.writestr("images.npy", head.getvalue() + bytes(1 << 20))
    yield "mpi3d-real", bomb, "uint8"

    pickled = folder / "basel_face_renders.pth"
    torch.save({"faces": print}, pickled)
    yield "faces3d", pickled, "nothing but tensors and plain values, but has .* print"
    for zipped in (True, False):
        large = folder / f"bytes-{zipped}" / "basel_face_renders.pth"
        large.parent.mkdir()
        torch.save(AnyMemory(), large, _use_new_zipfile_serialization=zipped)
        yield "faces3d", large, "nothing but tensors and plain values, but has .* bytearray"
    right = folder / "g" / "basel_face_renders.pth"
    right.parent.mkdir()
    torch.save(torch.zeros(2, 3, 1, 2, 64, 64), right)
    yield "faces3d", right, "float32"
    huge = folder / "h" / "basel_face_renders.pth"
    huge.parent.mkdir()
    torch.save(torch.zeros(3 << 20, dtype=torch.uint8), huge)
    yield "faces3d", huge, "at most"

    elsewhere = folder / "3dshapes.h5"
    (folder / "secret").write_bytes(bytes(24 * 64 * 64 * 3))
    with h5py.File(elsewhere, "w") as file:
        file.create_dataset(
            "images", (24, 64, 64, 3), "u1", external=[(folder / "secret", 0, 1 << 20)]
        )
    yield "shapes3d", elsewhere, "other files"
    linked = folder / "i" / "3dshapes.h5"
    linked.parent.mkdir()
    target = write_file("shapes3d", linked.parent).rename(folder / "target.h5")
    with h5py.File(linked, "w") as file:
        file["images"] = h5py.ExternalLink(target, "images")
    yield "shapes3d", linked, "'images'"

    escaping = folder / "nips2015-analogy-data.tar.gz"
    with tarfile.open(escaping, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../data/cars/list.txt"), io.BytesIO())
    yield "cars3d", escaping, "inside its own folder"
    large = folder / "j" / "nips2015-analogy-data.tar.gz"
    large.parent.mkdir()
    with tarfile.open(large, "w:gz") as archive:
        member = tarfile.TarInfo("data/cars/a.mat")
        member.size = 25 << 20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    yield "cars3d", large, "members of at most"


def test_hostile_files_are_refused_in_a_sentence(folder):
    seen = 0
    for name, path, message in hostile(folder):
        with pytest.raises(ValueError, match=message) as refusal:
            imported(name, path)
        assert "\n" not in str(refusal.value)
        assert str(path) in str(refusal.value)
        seen += 1
    assert seen == 16
    assert not list((folder / "cache").glob("*"))  # not even a temporary file stays behind


def test_a_bomb_inside_a_mat_file_is_not_unpacked(folder):
    import struct
    import zlib

    path = folder / "cars"
    path.mkdir()
    (path / "list.txt").write_text("a")
    squeezed = zlib.compress(bytes(30 << 20))
    head = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    (path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(squeezed)) + squeezed)
    with pytest.raises(ValueError, match="a larger or cut one"):
        imported("cars3d", path)


@pytest.mark.parametrize("cases", [40, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *(
            (name, ".npz")
            for name in ("dsprites-official", "faces3d", "cars3d", "mpi3d-toy", "smallnorb")
        ),
        ("mpi3d-toy", ".packed"),
        ("dsprites-official", ".hdf5"),
        ("shapes3d", ".h5"),
        ("faces3d", ".old"),
    ],
)
def test_damaged_files_are_refused_or_read_and_nothing_else(folder, name, suffix, cases):
    """Cut, overwritten, repeated and zeroed files: a ValueError, or images of the right shape."""
    (folder / "whole").mkdir()
    whole = write_file(name, folder / "whole", suffix)
    official, random, refused = small(name), np.random.default_rng(0), 0
    for case in range(cases):
        damaged = folder / f"damaged{case}"
        shutil.copytree(whole.parent if whole.is_file() else whole, damaged)
        for victim in [damaged / whole.name] if whole.is_file() else sorted(damaged.iterdir())[:1]:
            victim.write_bytes(damage(victim.read_bytes(), random))
        files = [damaged / file.name for file in official.files]
        places = files if name == "smallnorb" else [damaged / whole.name]
        try:
            mapped = official.map and official.map(places[0], official.grid)
            blocks = [mapped.images()] if mapped else official.read(places, official.grid)
            count = sum(len(block) for block in blocks)
            sentence = ""
        except ValueError as refusal:
            sentence = str(refusal)
        assert "\n" not in sentence
        assert "Type-check" not in sentence  # a mistake in our own code is no refusal
        assert sentence or count == len(official.grid)
        refused += bool(sentence)
        shutil.rmtree(damaged)
    assert refused > cases / 4


def damage(data: bytes, random: np.random.Generator) -> bytes:
    data, kind = bytearray(data), random.integers(5)
    at = int(random.integers(len(data)))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for place in random.integers(0, len(data), 1 + len(data) // 2000):
            data[place] = random.integers(256)
    elif kind == 2:
        data[at : at + 64] = random.bytes(64)
    elif kind == 3:
        data[at : at + 512] = bytes(512)
    else:
        head = int(random.integers(min(512, len(data))))  # headers are where parsers err
        data[head : head + 8] = random.bytes(8)
    return bytes(data)


@pytest.mark.parametrize("suffix", [".npz", ".hdf5"])
def test_verifying_counts_pixels_and_images_by_shape(folder, suffix):
    choices = {"scale": [0, 3], "orientation": [5], "posX": [0, 31], "posY": [7]}
    drawn = dsprites(64, **choices)
    images = drawn.batch(range(len(drawn))).byte().numpy()[:, 0]
    path = folder / f"dsprites{suffix}"
    order = np.column_stack([np.zeros(len(drawn), int), drawn.grid.labels_array()])

    def write(images):
        if suffix == ".npz":
            np.savez(path, imgs=images, latents_classes=order)
        else:
            with h5py.File(path, "w") as file:
                file["imgs"], file["latents/classes"] = images, order

    write(images)
    same = verify_dsprites(path, **choices)
    assert same.pixels == {"square": 0, "ellipse": 0, "heart": 0}
    assert "bit for bit" in str(same)
    images[5, 3, 3:6] ^= 1
    images[6, 9, 9] ^= 1
    images[11, 0, 0] ^= 1
    write(images)
    found = verify_dsprites(path, **choices)
    assert found.images == {"square": 4, "ellipse": 4, "heart": 4}
    assert found.differing == {"square": 0, "ellipse": 2, "heart": 1}
    assert found.pixels == {"square": 0, "ellipse": 4, "heart": 1}
    assert "4 pixels of       2 of 4 images differ" in str(found)
