"""Runs on a user's own images: sizes that fit, images that change or move, files to share."""

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main
from isavae.explorer.sources import open_source
from isavae.runs import Run, RunConfig, TrainedModel, build, check_memory

RNG = np.random.default_rng(0)
FLAGS = ["--width", "8", "--steps", "2", "--batch-size", "4", "--prior", "normal"]
FLAGS += ["--n-latents", "2"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    return draw(tmp_path / "my [cells]")


def draw(folder):
    folder.mkdir()
    for k in range(8):
        image = RNG.integers(0, 256, (10, 12), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{k}.png")
    return folder


def train(folder, out, *more):
    return main(
        ["train", "--data", f"{folder}[size=8x6, fit=pad]", "--out", str(out), *FLAGS, *more]
    )


def test_images_too_large_for_the_memory_are_refused_with_a_size_that_fits(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(build, "free_memory", lambda *_: 1 << 30)
    config = RunConfig(batch_size=8)
    check_memory(config, (1, 64, 64))
    with pytest.raises(ValueError, match=r"2048 x 2048 take .* GB .*size=\d+x\d+") as refusal:
        check_memory(config, (3, 2048, 2048))
    height, width = map(int, str(refusal.value).split("size=")[1].split(",")[0].split("x"))
    check_memory(config, (3, height, width))
    monkeypatch.setattr(build, "free_memory", lambda *_: 1000)
    assert train(folder, tmp_path / "run") == 2
    assert "training must fit into" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_other_images_of_the_same_name_are_refused_at_resume(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(folder, run) == 0
    more = ["--resume", "--steps", "3"]
    assert train(folder, run, *more) == 0
    Image.fromarray(RNG.integers(0, 256, (10, 12), dtype=np.uint8)).save(folder / "3.png")
    more = ["--resume", "--steps", "4"]
    assert train(folder, run, *more) == 2
    assert "must keep the images that it began with" in capsys.readouterr().err
    assert Run.open(run).metadata()["step"] == 3


def test_moved_images_are_named_again(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(folder, run) == 0
    moved = folder.rename(tmp_path / "elsewhere")
    run = run.rename(tmp_path / "renamed")
    assert main(["evaluate", str(run), "--data", f"{moved}[size=8x6, fit=pad]"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", f"{moved}[size=4, fit=pad]"]) == 2
    assert "must have the run's shape (1, 8, 6)" in capsys.readouterr().err


def test_a_run_whose_images_have_moved_says_how_to_name_them(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(folder, run) == 0
    moved = folder.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    for words in (["evaluate", str(run)], ["train", "--resume", "--out", str(run)]):
        assert main(words) == 2
        assert "name their new place with --data" in capsys.readouterr().err
    library = open_source(run).library
    with pytest.raises(ValueError, match="name their new place with --data"):
        library.images(library.show("run"))
    assert train(moved, run, "--resume", "--steps", "3") == 0
    assert Run.open(run).metadata()["step"] == 3
    assert main(["evaluate", str(run)]) == 0
    others = draw(tmp_path / "others")
    capsys.readouterr()
    assert train(others, run, "--resume", "--steps", "4") == 2
    assert "keeps its settings; data is" in capsys.readouterr().err


def test_unknown_factors_are_counted(folder, tmp_path, capsys):
    rows = ["image,kind,size", "0.png,a,1", "1.png,b,2", "2.png,NA,3", "3.png,,4"]
    rows += [f"{k}.png,a,{k}" for k in range(4, 8)]
    (folder / "factors.csv").write_text("\n".join(rows))
    assert train(folder, tmp_path / "run") == 0
    printed = capsys.readouterr().out
    assert "factor kind: 2 classes, 2 of 8 images unknown" in printed
    assert "factor size" not in printed
    assert main(["data", "inspect", str(folder)]) == 0
    assert "factor kind: 2 classes, 2 of 8 images unknown" in capsys.readouterr().out
    Image.fromarray(RNG.integers(0, 256, (5, 5), dtype=np.uint8)).save(folder / "small.png")
    assert main(["data", "inspect", str(folder)]) == 2
    assert "give a size and a fit" in capsys.readouterr().out


def test_files_to_share_name_no_folder(folder, tmp_path):
    assert train(folder, tmp_path / "run") == 0
    model = TrainedModel.from_pretrained(tmp_path / "run")
    shared = model.save_pretrained(tmp_path / "shared")
    assert TrainedModel.from_pretrained(shared).config.data == "my [cells][size=8x6, fit=pad]"
    for file in shared.iterdir():
        assert str(tmp_path).encode() not in file.read_bytes()
