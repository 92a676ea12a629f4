"""A model sees the images of a folder as it saw them in training."""

import json

import numpy as np
import polars
import pytest
import torch
from PIL import Image

from isavae.cli import main
from isavae.data import Preprocessing, load
from isavae.evaluation import encode_all
from isavae.explorer.library import ModelFile
from isavae.explorer.uploads import read_upload
from isavae.fitting.codes_table import write_table
from isavae.runs import Run, RunConfig, TrainedModel, execute
from isavae.studies.shared_data import open_shared

pytestmark = pytest.mark.system


def draw(folder, n=12, channels=3):
    """Images of several shapes, none of them square."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for k in range(n):
        pixels = rng.integers(0, 256, (20 + 3 * k, 50 - 2 * k, channels), dtype=np.uint8)
        Image.fromarray(pixels).resize((90 + k, 30 + k)).save(folder / f"{k:02}.png")
    return folder


def trained(folder, options, out):
    run = Run.create(
        out, RunConfig(data=f"{folder}[{options}]", steps=3, batch_size=4, prior="2*3", width=16)
    )
    assert execute(run)
    return run


def encoded(model, folder, out):
    assert main(["encode", str(model), str(folder), "--out", str(out)]) == 0
    table = polars.read_parquet(out)
    return table["image"].to_list(), table.drop("image").to_numpy()


@pytest.mark.parametrize(
    "options", ["size=16, fit=crop", "size=16, fit=pad", "size=8|24, fit=stretch"]
)
def test_the_codes_of_training_images_are_those_of_training(tmp_path, monkeypatch, options):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    folder = draw(tmp_path / "images")
    run = trained(folder, options, tmp_path / "run")
    codes = encode_all(run.load_model(), load(run.config.data))
    expected = np.concatenate([codes.mean, codes.log_std.exp()], 1)
    names, found = encoded(run.path, folder, tmp_path / "codes.parquet")
    assert names == [f"{k:02}.png" for k in range(12)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    # As one file and in the explorer, too.
    TrainedModel.from_run(run).save(tmp_path / "model.safetensors")
    _, found = encoded(tmp_path / "model.safetensors", folder, tmp_path / "codes.parquet")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    shown = ModelFile(run.path).read().trained
    for k in (0, 11):
        image, _ = read_upload((folder / f"{k:02}.png").read_bytes(), shown.preprocessing)
        assert torch.equal(image, load(run.config.data).batch([k]))


def test_another_preprocessing_gives_other_codes(tmp_path, monkeypatch):
    """What the test above would miss if all images looked alike."""
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    folder = draw(tmp_path / "images")
    model = trained(folder, "size=16, fit=pad", tmp_path / "run").load_model()
    padded, cropped = (
        encode_all(model, load(f"{folder}[size=16, fit={fit}]")).mean for fit in ("pad", "crop")
    )
    assert (padded - cropped).abs().max() > 1e-3


def test_the_preprocessing_survives_cache_selection_and_resumption(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    folder = draw(tmp_path / "images")
    expected = Preprocessing((8, 24), "stretch", 3)
    for _ in range(2):  # read, then opened from the cache
        data = load(f"{folder}[size=8|24, fit=stretch]")
        assert data.preprocessing == data.sample(3, 0).preprocessing == expected
        assert open_shared(f"{folder}[size=8|24, fit=stretch]").preprocessing == expected
    run = trained(folder, "size=8|24, fit=stretch", tmp_path / "run")
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    assert execute(longer)
    stored = json.loads(json.dumps(longer.metadata()["preprocessing"]))
    assert Preprocessing.from_dict(stored) == expected


def test_a_model_of_other_data_crops(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    folder = draw(tmp_path / "images")
    images = load(f"{folder}[size=16, fit=crop]").stored
    np.save(tmp_path / "images.npy", images)
    config = RunConfig(data=f"{tmp_path}/images.npy[axes=chw]", steps=3, batch_size=4, width=16)
    run = Run.create(tmp_path / "run", config)
    assert execute(run)
    assert "preprocessing" not in run.metadata()
    codes = encode_all(run.load_model(), load(config.data))
    _, found = encoded(run.path, folder, tmp_path / "codes.parquet")
    np.testing.assert_allclose(found[:, : codes.mean.shape[1]], codes.mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fields", [{"size": (0, 4)}, {"fit": "squash"}, {"channels": 0}])
def test_a_preprocessing_that_no_image_could_follow_is_refused(fields):
    with pytest.raises(ValueError, match=f"option {next(iter(fields))} must be"):
        Preprocessing(**{"size": (4, 4), **fields})


def test_no_name_in_a_csv_is_a_formula(tmp_path):
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "a=b", "plain"]
    table = polars.DataFrame({"image": names, "z1": [-1.0] * 6})
    write_table(table, tmp_path / "codes.csv")
    written = polars.read_csv(tmp_path / "codes.csv")["image"].to_list()
    assert written == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "a=b", "plain"]
    write_table(table, tmp_path / "codes.parquet")
    assert polars.read_parquet(tmp_path / "codes.parquet")["image"].to_list() == names


def test_an_array_with_other_channels_than_the_model_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    run = trained(draw(tmp_path / "images"), "size=16, fit=crop", tmp_path / "run")
    np.save(tmp_path / "grey.npy", np.zeros((4, 16, 16), dtype=np.uint8))
    out = tmp_path / "codes.csv"
    assert main(["encode", str(run.path), str(tmp_path / "grey.npy"), "--out", str(out)]) == 2
    assert "that the model was trained on, 3, but have 1: convert them." in capsys.readouterr().err
    assert not out.exists()
