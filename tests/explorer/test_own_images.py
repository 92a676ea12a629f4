"""Images that people bring to the explorer: arrays, pages, fitted folders, data that moved."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from isavae.data import ImageDataset, Preprocessing, load
from isavae.data.own.value_range import ValueRange
from isavae.explorer.sources import open_source
from isavae.explorer.uploads import read_upload
from isavae.fitting import fit
from isavae.runs import Run, RunConfig, TrainedModel, execute
from tests.explorer_site import serving

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))


def array_file(stored, save=np.save):
    file = io.BytesIO()
    save(file, stored)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.save, np.savez_compressed])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_uploaded_arrays_are_read_as_the_training_images(channels, save):
    how = Preprocessing((6, 8), "crop", channels, ValueRange(deep=(0.0, 4095.0)))
    scaled = "In images of more than 8 bits, 0 becomes black and 4095 white."
    stored = RNG.integers(0, 4096, (channels, 6, 8), dtype=np.uint16)
    right = stored[None] / 4095
    last = np.moveaxis(stored, 0, -1)
    shapes = [stored[None], last[None], *([stored, last] if channels > 1 else [stored[0]])]
    for shape in shapes:
        found, note = read_upload(array_file(shape, save), how)
        np.testing.assert_allclose(found, right, atol=0.51 / 255)
        assert note == scaled
    several = array_file(np.stack([stored, stored[::-1]]), save)
    found, note = read_upload(several, how)
    np.testing.assert_allclose(found, right, atol=0.51 / 255)
    assert note == f"{scaled} Image 1 of 2 is read, the others are left out."
    larger = Preprocessing((3, 4), "stretch", channels, how.values)
    assert read_upload(array_file(stored[None], save), larger)[0].shape == (1, channels, 3, 4)
    with pytest.raises(ValueError, match=r"must have 4 channels, but has shape \(1, "):
        read_upload(array_file(stored[None], save), Preprocessing((6, 8), channels=4))


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (np.zeros((1, 9000, 9000), bool), "at most 67,108,864 values may be there"),
        (np.array([{}]), "Python objects, which are never loaded"),
        (np.array(["text"]), "array"),
        (np.full((1, 6, 8), np.nan), "finite numbers"),
    ],
)
def test_arrays_that_are_no_images_are_refused(stored, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_upload(array_file(stored, np.savez_compressed), Preprocessing((6, 8), channels=1))


def test_pages_of_an_upload_that_are_left_out_are_said():
    shades = [Image.fromarray(np.full((6, 8), shade, np.uint8)) for shade in (10, 90, 170)]
    for kind in ("TIFF", "GIF", "WEBP", "PNG"):
        file = io.BytesIO()
        shades[0].save(file, kind, save_all=True, append_images=shades[1:], lossless=True)
        found, note = read_upload(file.getvalue(), Preprocessing((6, 8), channels=1))
        assert round(float(found.mean()) * 255) == 10
        assert note == "Page 1 of 3 is read, the others are left out."
        found, note = read_upload(file.getvalue(), Preprocessing((6, 8), channels=1, pages=3))
        assert round(float(found.mean()) * 255) == 170
        assert note.startswith("Page 3 of 3")
    channels = Preprocessing((6, 8), channels=3, pages="channels")
    file = io.BytesIO()
    shades[0].save(file, "TIFF", save_all=True, append_images=shades[1:])
    found, note = read_upload(file.getvalue(), channels)
    assert (found.mean((0, 2, 3)) * 255).round().tolist() == [10, 90, 170]
    assert note == ""


def images_of(path, data=None):
    source = open_source(path, data)
    library = source.library
    return library.images(library.show(source.overview["first"]))


def test_other_images_are_read_as_the_training_images(tmp_path):
    stored = RNG.integers(0, 4096, (12, 6, 8), dtype=np.uint16)
    np.save(tmp_path / "cells.npy", stored)
    config = RunConfig(
        data=f"{tmp_path}/cells.npy[size=3x4, fit=stretch]", prior="normal", n_latents=2, width=8,
        steps=1, batch_size=4,
    )  # fmt: skip
    run = Run.create(tmp_path / "run", config)
    execute(run, load(config.data))
    own = images_of(run.path)
    np.save(tmp_path / "dim.npy", stored // 4)
    folder = tmp_path / "folder"
    folder.mkdir()
    for k, image in enumerate(stored // 4):
        Image.fromarray(image).save(folder / f"{k:02}.png")
    expected = images_of(run.path, str(tmp_path / "dim.npy")).batch(range(12))
    assert abs(float(expected.mean() / own.batch(range(12)).mean()) - 0.25) < 0.01
    for data in (stored // 4, str(folder)):
        np.testing.assert_allclose(images_of(run.path, data).batch(range(12)), expected, atol=1e-6)
    bytes_ = ImageDataset((stored >> 4).astype(np.uint8))
    np.testing.assert_allclose(
        images_of(run.path, bytes_).batch(range(12)), own.batch(range(12)), atol=2 / 255
    )
    (tmp_path / "cells.npy").rename(tmp_path / "moved.npy")
    with serving(run.path) as site:
        response, content = site.ask("GET", "/api/runs/run/images")
    assert response.status == 400
    error = json.loads(content)["error"]
    assert "there is nothing at" in error
    assert "name their new place with --data" in error
    assert images_of(run.path, str(tmp_path / "moved.npy")).shape == (1, 3, 4)


@pytest.mark.system
def test_a_fitted_folder_is_explored_with_its_images(tmp_path):
    shades = RNG.integers(0, 200, (20, 1, 1))
    stored = (shades + RNG.integers(0, 40, (20, 8, 8))).astype(np.uint8)
    fitted = fit(
        stored, tmp_path / "out", steps=20, seeds=2, beta=(1.0,), prior="2.1[6*2]", workers=1
    )
    moved = (tmp_path / "out").rename(tmp_path / "renamed")
    found = images_of(moved)
    np.testing.assert_allclose(found.batch(range(20))[:, 0], stored / 255, atol=1e-6)
    assert images_of(moved / "model.safetensors", str(moved)).shape == (1, 8, 8)
    assert open_source(moved).overview["title"] == "renamed"
    kept = TrainedModel.load(moved / "model.safetensors").facts["axes"]
    assert kept == [
        {"latent": a.latent, "verdict": fitted.verdict(a), "found_by": a.found_by, "seeds": 1}
        for a in fitted.axes
    ]


ACROSS = np.tile(np.linspace(0, 255, 16).round().astype(np.uint8), (16, 1))
COLOURS = np.stack([ACROSS, ACROSS.T, 255 - ACROSS], -1)
CLEAR = np.dstack([COLOURS, np.where(ACROSS < 128, 0, 255).astype(np.uint8)])
ON_WHITE = np.where(CLEAR[..., 3:] == 0, 255, COLOURS)
BY_TYPE = "Images of uint16 are scaled by their type: 0 becomes black and 65535 white."


def image_file(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("upload", "right", "note"),
    [
        (image_file(Image.fromarray(ACROSS.astype(np.uint16) * 257), "PNG"), ACROSS, BY_TYPE),
        (image_file(Image.fromarray(ACROSS.astype(np.uint16)), "TIFF"), 0 * ACROSS, BY_TYPE),
        (image_file(Image.fromarray(COLOURS).convert("CMYK"), "TIFF"), COLOURS, ""),
        (image_file(Image.fromarray(COLOURS).quantize(255), "PNG"), COLOURS, ""),
        (image_file(Image.fromarray(CLEAR), "PNG"), ON_WHITE, ""),
        (image_file(Image.fromarray(CLEAR).quantize(255), "PNG"), ON_WHITE, ""),
        (image_file(Image.fromarray(COLOURS).convert("LAB"), "TIFF"), COLOURS, ""),
        (
            image_file(Image.fromarray(np.hstack([COLOURS] * 3)), "PNG"),
            COLOURS,
            "Cropping cuts off 67% of it.",
        ),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_odd_images_are_read_or_said_to_be_changed(upload, right, note, channels):
    found, said = read_upload(upload, Preprocessing((16, 16), "crop", channels))
    assert said == note
    shown = Image.fromarray(right).convert("L" if channels == 1 else "RGB")
    expected = np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1)[None]
    # palettes of 255 and colours as LAB are not exact
    assert np.abs(found.numpy() * 255 - expected).mean() < 8
    assert np.median(np.abs(found.numpy() * 255 - expected)) <= 4


@pytest.mark.parametrize("channels", [2, 3])
def test_a_grey_array_is_no_image_of_a_model_with_channels(channels):
    sentence = rf"must have {channels} channels, but has shape \(16, 16\)\.$"
    with pytest.raises(ValueError, match=sentence):
        read_upload(array_file(ACROSS), Preprocessing((16, 16), channels=channels))


def test_values_beyond_the_range_of_the_training_images_are_said():
    how = Preprocessing((16, 16), "crop", 1, ValueRange(deep=(0.0, 1.0)))
    for upload in (array_file(ACROSS / 100), image_file(Image.fromarray(ACROSS / 100), "TIFF")):
        assert "beyond" in read_upload(upload, how)[1]
