"""`fit` and `encode` take whatever `--data` takes, at sizes of any shape."""

import numpy as np
import polars
import pytest
import torch
from PIL import Image

from isavae.cli import main
from isavae.data import load
from isavae.data.own.preprocessing import Preprocessing
from isavae.fitting import fit, read_training_images
from isavae.fitting.codes_table import encode_images
from isavae.runs import TrainedModel

pytestmark = pytest.mark.system

RNG = np.random.default_rng(0)
GIVEN = {"steps": 100, "seeds": 2, "beta": (1.0,), "prior": "2.1[6*2]", "workers": 1}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))


def draw(folder, height, width, n=20):
    folder.mkdir()
    for k in range(n):
        image = RNG.integers(0, 40, (height, width)).astype(np.uint8) + np.uint8(200 * k // n)
        Image.fromarray(image).save(folder / f"{k:02}.png")


def test_images_keep_their_proportions_and_a_small_size_of_their_own(tmp_path):
    draw(tmp_path / "spectrograms", 128, 430)
    found = read_training_images(tmp_path / "spectrograms")
    assert found.images.shape == (20, 1, 35, 117)
    assert found.notes == ()  # nothing is cut off
    draw(tmp_path / "digits", 28, 28)
    assert read_training_images(tmp_path / "digits").images.shape == (20, 1, 28, 28)
    square = read_training_images(tmp_path / "spectrograms", (64, 64))
    assert "Cropping cuts off 70% of the images" in square.notes[0]
    for how in ("pad", "stretch"):
        found = read_training_images(tmp_path / "spectrograms", (64, 64), how)
        assert (found.images.shape, found.notes) == ((20, 1, 64, 64), ())


def test_too_few_images_are_counted(tmp_path):
    draw(tmp_path / "few", 8, 8, n=5)
    with pytest.raises(ValueError, match=r"images must be readable, but \S+ has 5: add images\.$"):
        read_training_images(tmp_path / "few")
    (tmp_path / "few" / "e.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"but of the 6 in \S+ 5 are: add images\. e\.png"):
        read_training_images(tmp_path / "few")


def test_fit_and_encode_take_arrays_data_sets_and_folders(tmp_path, capsys):
    shades = RNG.random((24, 1, 1, 1))
    stored = (4 * shades - 2 + 0.1 * RNG.random((24, 12, 10, 2))).astype("f4")
    np.save(tmp_path / "cells.npy", stored)
    data = f"{tmp_path}/cells.npy[axes=hwc]"
    fitted = fit(data, tmp_path / "out [1]", **GIVEN)
    assert fitted.model.shape == (2, 12, 10)
    assert fitted.names[:2] == ("0", "1")
    assert any("-2 white" in reason or "becomes black" in reason for reason in fitted.reasons)
    model = TrainedModel.from_pretrained(tmp_path / "out [1]")
    expected = fitted.codes.mean
    for source in (data, load(data)):
        table, _ = encode_images(model, source)
        np.testing.assert_allclose(table.to_numpy()[:, 1:3].astype(float), expected, atol=1e-5)
    np.save(tmp_path / "part.npy", stored[:3] / 2)  # the range is that of the training images
    table, _ = encode_images(model, f"{tmp_path}/part.npy[axes=hwc]")
    low, high = float(stored.min()), float(stored.max())
    values = ((stored[:3] / 2).astype(np.float64) - low) / (high - low)
    mean, _ = model.encode(torch.from_numpy(np.rint(values * 255) / 255).permute(0, 3, 1, 2))
    np.testing.assert_allclose(table.to_numpy()[:, 1:3].astype(float), mean, atol=1e-5)
    with pytest.raises(ValueError, match="made from other images"):
        fit(load(data).take(range(20)), tmp_path / "out [1]", **GIVEN)
    smaller = read_training_images(data, (8, 8))
    assert "Images of 12 x 10 become 8 x 8 (height x width), by fit=crop." in smaller.notes
    assert any("Cropping cuts off 17% of the images" in note for note in smaller.notes)
    assert main(["encode", str(tmp_path / "out [1]"), f"{data[:-1]}, kind=cat]"]) == 2
    assert "options axes and key, but kind is given" in capsys.readouterr().err


def test_one_image_is_encoded_by_its_path(tmp_path, capsys):
    draw(tmp_path / "images", 16, 12)
    fitted = fit(tmp_path / "images", tmp_path / "out", size=(8, 6), fit="pad", **GIVEN)
    assert fitted.model.preprocessing == Preprocessing((8, 6), "pad", 1)
    out = tmp_path / "codes.csv"
    image = str(tmp_path / "images" / "03.png")
    assert main(["encode", str(tmp_path / "out"), image, "--out", str(out)]) == 0
    table = polars.read_csv(out)
    assert table["image"].to_list() == ["03.png"]
    np.testing.assert_allclose(
        table.to_numpy()[0, 1:3].astype(float), fitted.codes.mean[3], atol=1e-5
    )
    assert main(["encode", str(tmp_path / "out"), f"{tmp_path}/images[size=8]"]) == 2
    assert "as those that the model was trained on, but [size=8]" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"At least 16 images are needed, but .* is one"):
        read_training_images(image)
