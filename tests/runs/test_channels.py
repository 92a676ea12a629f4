"""Two, four and five channels, from an array to figures, codes, files and the explorer."""

import base64
import io
import re

import numpy as np
import polars
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from isavae.cli import main
from isavae.data import load
from isavae.data.tiles import side_by_side, tile
from isavae.explorer.describe import describe_model, describe_posterior
from isavae.explorer.library import ServedModel
from isavae.fitting import fit
from isavae.report import RunFigures
from isavae.runs import TrainedModel, export_onnx


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))


def test_channels_are_shown_side_by_side():
    images = torch.rand(6, 2, 5, 4)
    shown = side_by_side(images)
    assert torch.equal(shown[:, 0, :, :4], images[:, 0])
    assert torch.equal(shown[:, 0, :, 4:], images[:, 1])
    assert tile(images, columns=3, gap=0).shape == (10, 24)
    assert tile(torch.rand(6, 3, 5, 4), columns=3, gap=0).shape == (10, 12, 3)


@pytest.mark.system
@pytest.mark.parametrize(("channels", "network"), [(2, "mlp"), (4, "mlp"), (5, "conv")])
def test_any_channels_work_everywhere(tmp_path, channels, network, capsys):
    stored = np.random.default_rng(0).integers(0, 4096, (24, channels, 10, 12), dtype=np.uint16)
    np.save(tmp_path / "cells.npy", stored)
    data, run = f"{tmp_path}/cells.npy[axes=chw]", tmp_path / "run"
    flags = ["--width", "8", "--steps", "2", "--batch-size", "8", "--prior", "normal"]
    flags += ["--n-latents", "2", "--network", network]
    assert main(["train", "--data", data, "--out", str(run), *flags]) == 0
    assert "0 becomes black and 4095 white" in capsys.readouterr().out
    assert main(["sample", str(run), "--n", "4", "--out", str(tmp_path / "s.png")]) == 0
    with Image.open(tmp_path / "s.png") as sheet:
        assert (sheet.mode, sheet.size) == ("L", (2 * (12 * channels + 1) - 1, 2 * 11 - 1))
    for figure in ("traversals", "reconstructions"):
        assert main(["figure", figure, str(run)]) == 0
    codes = tmp_path / "codes.csv"
    assert main(["encode", str(run), data, "--out", str(codes)]) == 0
    model = TrainedModel.from_pretrained(run)
    assert describe_model(ServedModel("run", model, "1"))["shape"] == (1, 10, 12 * channels)
    expected = torch.cat(
        [
            part.exp() if k else part
            for k, part in enumerate(model.encode(load(data).batch(range(24))))
        ],
        1,
    )
    np.testing.assert_allclose(polars.read_csv(codes).drop("image"), expected, atol=1e-5)
    assert main(["decode", str(run), str(codes), "--out", str(tmp_path / "decoded")]) == 0
    assert len([*(tmp_path / "decoded").glob("*.png")]) == 24
    assert model.save_pretrained(tmp_path / "card").is_dir()
    assert export_onnx(model, tmp_path / "onnx").decoder.is_file()
    Image.new("L", (12, 10)).save(tmp_path / "a.png")
    assert main(["encode", str(run), str(tmp_path / "a.png")]) == 2
    assert f"must have {channels}: give an array" in capsys.readouterr().err


def test_chosen_channels_are_shown_everywhere(tmp_path, monkeypatch):
    stored = np.random.default_rng(0).integers(0, 256, (24, 5, 10, 12), dtype=np.uint8)
    np.save(tmp_path / "cells.npy", stored)
    data, run = f"{tmp_path}/cells.npy[axes=chw, show=4,0,2]", tmp_path / "run"
    flags = ["--width", "8", "--steps", "2", "--batch-size", "8", "--prior", "normal"]
    assert main(["train", "--data", data, "--out", str(run), "--n-latents", "2", *flags]) == 0
    sheet = tmp_path / "sheet.png"
    options = ["--options", "axes=chw, show=4,0,2", "--sheet", str(sheet)]
    assert main(["data", "inspect", str(tmp_path / "cells.npy"), *options]) == 0
    first = np.asarray(Image.open(sheet))[:10, :12]
    np.testing.assert_array_equal(first, stored[0, [4, 0, 2]].transpose(1, 2, 0))
    model = TrainedModel.from_pretrained(run)
    assert model.preprocessing.show == (4, 0, 2)
    served = ServedModel("run", model, "1")
    assert describe_model(served)["shape"] == (3, 10, 12)
    image = torch.from_numpy(stored[:1]) / 255
    told = base64.b64decode(describe_posterior(served, image)["pixels"])
    assert told == first.tobytes()
    assert main(["sample", str(run), "--n", "1", "--out", str(sheet)]) == 0
    expected = (model.sample(1)[0, [4, 0, 2]] * 255).round().byte().permute(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(sheet)), expected)
    drawn = []
    monkeypatch.setattr(
        "isavae.report.run_figures.reconstructions", lambda *a: drawn.extend(a) or Figure()
    )
    RunFigures.open(run).reconstructions(n=3)
    assert [images.shape[-3:] for images in drawn] == [(3, 10, 12)] * 2
    for wrong in ("show=0,1", "show=5", "show=red"):
        with pytest.raises(ValueError, match="option show must be"):
            load(f"{tmp_path}/cells.npy[axes=chw, {wrong}]")


def test_fit_keeps_the_shown_channels(tmp_path):
    shades = np.random.default_rng(0).integers(0, 200, (20, 4, 1, 1))
    stored = (shades + np.random.default_rng(1).integers(0, 40, (20, 4, 8, 8))).astype(np.uint8)
    np.save(tmp_path / "cells.npy", stored)
    fitted = fit(
        f"{tmp_path}/cells.npy[show=3]", tmp_path / "out", steps=20, seeds=2, beta=(1.0,),
        prior="2.1[6*2]", workers=1,
    )  # fmt: skip
    assert fitted.model.preprocessing.show == (3,)
    assert load(fitted.chosen.run.config.data).preprocessing.show == (3,)
    page = (tmp_path / "out" / "report.html").read_text()
    sheets = [Image.open(io.BytesIO(base64.b64decode(found))) for found in
              re.findall(r"data:image/png;base64,([^\"]+)", page)]  # fmt: skip
    assert sheets
    assert {sheet.width for sheet in sheets} <= {k * 9 - 1 for k in range(1, 20)}
