"""Arrays are resized as image files are, wherever a size is given, and it is said."""

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from isavae.data import ImageDataset, load
from isavae.data.image_statistics import inspect
from isavae.data.own.open import open_array
from isavae.fitting import read_training_images
from isavae.fitting.codes_table import encode_images
from isavae.runs import RunConfig, TrainedModel, build_model

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))


def write(path, stored):
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["images"] = stored
    else:
        (np.save if path.suffix == ".npy" else np.savez)(path, stored)
    return path


def pixels(name):
    data = load(str(name))
    return data.batch(range(len(data))).numpy()


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_an_array_is_resized_as_a_folder_of_the_same_images(tmp_path, suffix, fit):
    stored = RNG.integers(0, 256, (17, 9, 14, 3), dtype=np.uint8)
    (tmp_path / "folder").mkdir()
    for k, image in enumerate(stored):
        Image.fromarray(image).save(tmp_path / "folder" / f"{k:02}.png")
    options = f"[size=6x7, fit={fit}]"
    path = write(tmp_path / f"images.{suffix}", stored)
    np.testing.assert_array_equal(pixels(f"{path}{options}"), pixels(f"{tmp_path}/folder{options}"))
    said = str(inspect(path, options[1:-1]))
    assert f"Images of 9 x 14 become 6 x 7 (height x width), by fit={fit}." in said
    assert ("Cropping cuts off 25% of the images" in said) == (fit == "crop")
    with pytest.raises(ValueError, match="how images become 6 x 7, but is not given: add fit=crop"):
        load(f"{path}[size=6x7]")
    found = read_training_images(f"{path}", (6, 7), fit)
    np.testing.assert_allclose(found.images / 255, pixels(f"{path}{options}"), atol=1e-6)
    assert found.preprocessing == load(f"{path}{options}").preprocessing
    assert found.original[0] == (14, 9)


def test_black_and_white_becomes_grey_where_it_is_resized(tmp_path):
    stored = RNG.integers(0, 2, (4, 8, 8)).astype(bool)
    write(tmp_path / "a.npy", stored)
    found = pixels(f"{tmp_path}/a.npy[size=4, fit=stretch]")
    for image, given in zip(found, stored, strict=True):
        plane = Image.fromarray(given.astype(np.uint8) * 255)
        expected = np.asarray(plane.resize((4, 4), Image.Resampling.LANCZOS)) / 255
        np.testing.assert_allclose(image[0], expected, atol=1e-6)


def test_arrays_in_memory_follow_the_rules_of_files(tmp_path):
    stored = RNG.integers(0, 4096, (20, 9, 12), dtype=np.uint16)
    path = write(tmp_path / "a.npy", stored)
    for source in (stored, torch.from_numpy(stored.astype(np.int32)), path):
        found = read_training_images(source, (6, 8), "pad")
        expected = pixels(f"{path}[size=6x8, fit=pad]")
        np.testing.assert_allclose(found.images / 255, expected, atol=1e-6)
        assert any("0 becomes black and 4095 white" in note for note in found.notes)
    config = RunConfig(prior="normal", n_latents=2, width=8)
    how = {"preprocessing": found.preprocessing.to_dict()}
    model = TrainedModel(build_model(config, (1, 6, 8)), config, (1, 6, 8), how)
    expected, _ = model.encode(found.images)
    data = ImageDataset((stored >> 4).astype(np.uint8))
    for source in (stored, path, stored[:3], data):
        table, notes = encode_images(model, source)
        assert "Images of 9 x 12 become 6 x 8 (height x width), by fit=pad." in notes
        tolerance = 0.02 if source is data else 1e-5
        np.testing.assert_allclose(
            table.to_numpy()[:, 1:3].astype(float), expected[: len(table)], atol=tolerance
        )


def test_one_image_is_an_array_of_images(tmp_path):
    stored = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    for suffix in ("npy", "npz", "h5"):
        grey = write(tmp_path / f"grey.{suffix}", stored[..., 0])
        np.testing.assert_allclose(
            pixels(f"{grey}[axes=hw]")[0, 0], stored[..., 0] / 255, atol=1e-6
        )
        one = write(tmp_path / f"one.{suffix}", stored)
        np.testing.assert_allclose(
            pixels(f"{one}[axes=hwc]")[0], stored.transpose(2, 0, 1) / 255, atol=1e-6
        )


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
@pytest.mark.parametrize("n", [7, 3000])  # one block, and several
def test_arrays_in_fortran_order_are_read_image_by_image(tmp_path, monkeypatch, save, n):
    stored = RNG.integers(0, 256, (n, 3, 9, 14), dtype=np.uint8)
    monkeypatch.setattr("isavae.data.safe_reading.BLOCK", 1 << 20)
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, np.asfortranarray(stored))
    np.testing.assert_allclose(pixels(path), stored / 255, atol=1e-6)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"get the file again|must have"):
        load(str(path))


def test_packed_arrays_in_fortran_order_fit_into_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", np.asfortranarray(np.zeros((20, 8, 8), np.uint8)))
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", "1000")
    with pytest.raises(ValueError, match=r"1,000 bytes in Fortran order, but has 1,280: save it"):
        load(f"{tmp_path}/a.npz")


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((40, 64), "", r"axis of images, but has shape \(40, 64\): give axes=hw if it is one"),
        ((40, 64, 3), "", r"clear axes, but has shape \(40, 64, 3\): give axes=hwc if it is one"),
        ((2, 40, 64, 3), "[axes=hw]", r"the axes hw, perhaps after one of images, but has shape"),
        ((40, 64), "[axes=hwc]", r"the axes hwc, perhaps after one of images, but has shape"),
    ],
)
def test_arrays_that_may_be_tables_or_single_images_must_say_so(
    tmp_path, suffix, shape, options, message
):
    stored = RNG.integers(0, 256, shape, dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", stored)
    with pytest.raises(ValueError, match=message):
        load(f"{path}{options}")
    if not options:
        with pytest.raises(ValueError, match=message):
            read_training_images(stored)


def test_padding_adds_black_on_both_sides_and_keeps_all(tmp_path):
    write(tmp_path / "a.npy", np.full((3, 12, 6), 200, np.uint8))
    found = pixels(f"{tmp_path}/a.npy[size=12, fit=pad]")[0, 0]
    np.testing.assert_allclose(found[:, 3:9], 200 / 255, atol=1e-6)
    assert (found[:, :3] == 0).all()
    assert (found[:, 9:] == 0).all()


def test_the_range_of_an_array_is_that_of_all_its_blocks(monkeypatch):
    monkeypatch.setattr("isavae.data.own.arrays.BLOCK", 1)  # an image a block
    stored = RNG.integers(0, 1000, (5, 8, 9)).astype(np.uint16)
    stored[0, 0, 0] = 4095
    assert "0 becomes black and 4095 white" in open_array(stored).notes[0]


def test_images_of_an_array_beyond_the_range_are_counted(tmp_path):
    stored = np.zeros((5, 8, 9), np.uint16)
    stored[:2, 0, 0] = 300
    data = load(f"{write(tmp_path / 'a.npy', stored)}[range=0..255]")
    assert any(note.startswith("2 of the images have values beyond") for note in data.notes)
