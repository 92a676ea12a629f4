"""Files with any name that the system allows, from import to codes and report."""

import os

import numpy as np
import polars
import pytest
from PIL import Image

from isavae.cli import main
from isavae.explorer.sources import open_source

pytestmark = pytest.mark.system

RNG = np.random.default_rng(0)
NAMES = {
    "all at once": b"=1+1 caf\xe9\n[size=8], b=c \"a\", 'b'; c#2 <b>&amp;{{ 7 }} ",
    "255 bytes of UTF-8": "ü".encode() * 125,
    "space": b" a ",
}


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_name_works_from_import_to_report(tmp_path, monkeypatch, name, capsys):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    os.mkdir(folder)
    for k in range(17):
        image = RNG.integers(0, 40, (8, 8)).astype(np.uint8) + np.uint8(10 * k)
        Image.fromarray(image).save(tmp_path / "a.png")
        os.rename(tmp_path / "a.png", folder + os.fsdecode(b"/%02d" % k + name[2:] + b".png"))
    with open(folder + os.fsdecode(b"/z" + name[1:] + b".png"), "wb") as file:
        file.write(b"no image")
    out, codes = tmp_path / "out", tmp_path / "codes.csv"
    flags = "--steps 20 --seeds 2 --beta 1 --prior 2.1[6*2] --workers 1".split()
    assert main(["data", "inspect", folder]) == 0
    assert "1 of 18 images is left out" in capsys.readouterr().out
    assert main(["fit", folder, "--out", str(out), *flags]) == 0
    assert main(["encode", str(out), folder, "--out", str(codes)]) == 0
    table, fitted = polars.read_csv(codes), polars.read_csv(out / "codes.csv")
    shown = name[2:].decode("utf-8", "backslashreplace")
    assert table["image"].to_list() == [f"{k:02}{shown}.png" for k in range(17)]
    assert fitted["image"].to_list() == table["image"].to_list()
    assert polars.read_parquet(out / "codes.parquet")["image"].to_list() == table["image"].to_list()
    assert (out / "report.html").stat().st_size > 1000
    run = tmp_path / "run"
    more = ["--steps", "2", "--width", "8", "--batch-size", "4", "--prior", "normal"]
    assert main(["train", "--data", folder, "--out", str(run), "--n-latents", "2", *more]) == 0
    assert "1 of 18 images is left out" in capsys.readouterr().out
    assert main(["evaluate", str(run)]) == 0
    assert main(["study", "report", str(out / "study"), "--out", str(tmp_path / "r.html")]) == 0
    source = open_source(run)
    assert len(source.library.images(source.library.show("run"))) == 17
