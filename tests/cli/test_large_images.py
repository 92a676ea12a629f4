"""Images too large for memory or disk are refused in one sentence, before any of them is read."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main
from isavae.data.own import open as own
from isavae.data.own.open import open_array, resized
from isavae.data.own.preprocessing import Preprocessing
from isavae.fitting import proposal
from isavae.runs import build

pytestmark = pytest.mark.system

RNG = np.random.default_rng(0)
SIDE = 64


@pytest.fixture(params=["folder", "array"])
def images(request, tmp_path, monkeypatch):
    """Twenty images, and memory for the network of `train` for a quarter of their pixels."""
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    for module in (build, proposal):
        monkeypatch.setattr(module, "free_memory", lambda *_: 150_000_000)
    stored = RNG.integers(0, 256, (20, SIDE, SIDE), dtype=np.uint8)
    if request.param == "array":
        np.save(tmp_path / "images.npy", stored)
        return tmp_path / "images.npy"
    (tmp_path / "images").mkdir()
    for k, image in enumerate(stored):
        Image.fromarray(image).save(tmp_path / "images" / f"{k}.png")
    return tmp_path / "images"


def is_clean(tmp_path):
    """Whether nothing was written."""
    return {path.name for path in tmp_path.iterdir()} <= {"images", "images.npy"}


def test_train_refuses_them_before_they_are_read(images, tmp_path, capsys):
    flags = ["--batch-size", "4", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", str(images), *flags]) == 2
    said = capsys.readouterr().err
    assert "training must fit into the 0.1 GB" in said
    assert f"images of {SIDE} x {SIDE} take" in said
    assert "give size=32x32, fit=stretch or another network" in said
    assert is_clean(tmp_path)


def test_fit_refuses_them_before_they_are_read(images, tmp_path, monkeypatch, capsys):
    size = f"{SIDE}x{SIDE}"
    monkeypatch.setattr(build, "free_memory", lambda *_: 20_000_000)
    flags = ["--size", size, "--out", str(tmp_path / "found"), "--budget", "1s"]
    assert main(["fit", str(images), *flags]) == 2
    assert "training must fit into the 0.0 GB" in capsys.readouterr().err
    monkeypatch.setattr(proposal, "free_memory", lambda *_: 300_000)
    assert main(["fit", str(images), *flags]) == 2
    said = capsys.readouterr().err
    assert f"20 of {SIDE} x {SIDE} take 0.0 GB: give a smaller size" in said
    assert is_clean(tmp_path)


def test_inspect_says_that_they_are_too_large_to_train_on(images, capsys):
    assert main(["data", "inspect", str(images)]) == 0
    said = capsys.readouterr().out
    assert f"would be used as 20 images of 1 x {SIDE} x {SIDE}" in said
    assert "training must fit into the 0.1 GB" in said


def test_a_cache_without_space_for_them_is_named_before_they_are_written(
    images, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * SIDE**2 - 1))
    assert main(["data", "inspect", str(images)]) == 2
    said = capsys.readouterr().out
    assert f"The cache folder {tmp_path}/cache must have space for 20 images, 0.0 GB" in said
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * SIDE**2))
    assert main(["data", "inspect", str(images)]) == 0


def test_large_images_are_resized_some_at_a_time(monkeypatch):
    data = open_array(RNG.integers(0, 256, (5, 3, 12, 8), dtype=np.uint8))
    assert data.preprocessing == Preprocessing((12, 8), "crop", 3)
    whole = resized(data, (4, 4), "crop")
    monkeypatch.setattr(own, "BLOCK", 2 * 3 * 12 * 8)
    parts = resized(data, (4, 4), "crop")
    np.testing.assert_array_equal(parts.stored, whole.stored)
    assert parts.notes == whole.notes
    assert len(parts.notes) == 2
    assert parts.preprocessing == whole.preprocessing == Preprocessing((4, 4), "crop", 3)
