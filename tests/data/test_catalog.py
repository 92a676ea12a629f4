"""Names of data sets, and choices of their factors as text."""

import numpy as np
import pytest
from PIL import Image

from isavae.cli.command_line import main
from isavae.data import DATASETS, load
from isavae.data.classes import parse_choices


def test_a_choice_in_brackets_opens_a_part():
    data = load("dsprites[shape=heart|square, scale=::2,orientation=0, posX=-2:]")
    assert data.grid.sizes == (2, 3, 1, 2, 32)
    assert data.grid.categories["shape"] == ("heart", "square")
    assert data.name == "dsprites[shape=heart|square, scale=::2, orientation=0, posX=-2:]"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dsprite", "did you mean dsprites"),
        ("zzz", r"must be one of dsprites.*'zzz'\.$"),
        ("dsprites[shape=hart]", "'hart'"),
        ("dsprites[sape=heart]", "must be one of"),
        ("dsprites[shape]", "factor=classes"),
        ("dsprites[scale=1, scale=2]", "once per factor"),
        ("dsprites[scale=6]", "0..5"),
        ("dsprites[scale=::0]", "step"),
        ("dsprites[", "must be one of"),
    ],
)
def test_bad_names_get_a_sentence(name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_parsing():
    assert parse_choices("a=1, b=x|2 ,c=1:9") == {"a": [1], "b": ["x", 2], "c": slice(1, 9)}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))

    def command(*words):
        code = main(["data", *words])
        out = capsys.readouterr()
        return code, out.out + out.err

    return command


def test_the_command_line_draws_lists_and_inspects(run, tmp_path):
    assert run("draw", "dsprites16")[0] == 0
    code, text = run("list")
    assert code == 0
    assert "in " + str(tmp_path) in " ".join(text.split())
    assert text.count("\n    factors: ") == len(DATASETS)
    assert all(len(line) < 80 or len(line.split()) == 1 for line in text.splitlines()[:-1])
    np.save(tmp_path / "own.npy", np.zeros((4, 5, 6), np.uint8))
    code, text = run("inspect", str(tmp_path / "own.npy"))
    assert code == 0
    assert "4 images of 1 x 5 x 6" in text


@pytest.mark.filterwarnings("default")
def test_the_command_line_says_which_images_are_left_out(run, tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG, but no more")
    code, text = run("inspect", str(tmp_path))
    assert code == 0
    assert "isavae data inspect: 1 of 2 images is left out: b.png (" in text
    assert "1 file of a size that cannot be read" in text
    assert ".py:" not in text


@pytest.mark.system
def test_the_command_line_imports_and_verifies(run, tmp_path):
    (tmp_path / "3dshapes.h5").write_bytes(b"")
    code, text = run("import", "shapes3d", str(tmp_path / "3dshapes.h5"))
    assert (code, "must have the hash sha256" in text) == (2, True)
    code, text = run("import", "shapes3d", str(tmp_path / "3dshapes.h5"), "--unchecked")
    assert (code, "cannot be read" in text) == (2, True)
    code, text = run("download", "faces3d")
    assert (code, "must not be distributed" in text) == (2, True)
    code, text = run("verify", "dsprites", str(tmp_path / "3dshapes.h5"))
    assert (code, "cannot be read" in text) == (2, True)
    code, text = run("verify", "shapes3d", str(tmp_path / "3dshapes.h5"))
    assert (code, "but is 'shapes3d'" in text) == (2, True)
