"""Names from files, as the terminal shows them: no escape reaches it."""

import csv

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main

pytestmark = pytest.mark.system

NAME = "\x1b[31mred\x1b]0;title\x07\u202e[/b]"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    for number in range(8):
        pixels = np.full((8, 8), 30 * number, np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")
    damaged = f"a{NAME.replace('/', '')}.png"
    (path / damaged).write_bytes(b"no image")
    with (tmp_path / "f.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["file", NAME], [damaged, "0"], *([f"{n}.png", f"{n % 2}"] for n in range(8))]
        )
    return path


@pytest.mark.filterwarnings("default")
def test_names_in_files_reach_no_terminal_as_escapes(folder, tmp_path, capsys):
    run, table = tmp_path / "run", tmp_path / "f.csv"
    small = ["--steps", "2", "--batch-size", "8", "--width", "4", "--prior", "2*2"]
    data = f"{folder}[factors={table}]"
    assert main(["data", "inspect", str(folder), "--options", f"factors={table}"]) == 0
    assert main(["train", "--out", str(run), "--data", data, *small]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["evaluate", str(tmp_path / NAME)]) == 2
    said = "".join(capsys.readouterr())
    assert "\\x1b[31mred" in said
    assert not {"\x1b", "\x07", "\u202e"} & {*said}
