"""Names from files, as the terminal shows them: no escape reaches it."""

import csv
import sys
from io import StringIO

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main, terminal
from isavae.data.read_progress import progress

pytestmark = pytest.mark.system

NAME = "\x1b[31mred\x1b]0;title\x07\u202e[/b]"

CONTROLS = {"\x1b", "\x07", "\u202e"}


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
    assert main(["encode", str(run), str(folder), "--out", str(tmp_path / "z\x1b[31m.csv")]) == 0
    assert main(["encode", str(run), f"{folder}/absent{NAME}"]) == 2
    said = "".join(capsys.readouterr())
    assert "\\x1b[31mred" in said
    assert not CONTROLS & {*said}


@pytest.mark.parametrize(
    "words",
    [
        ["fit", NAME],
        ["fit", "images", "--out", "o", f"--{NAME}", "1"],
        ["train", "--out", "o", "--steps", NAME],
        ["export", "model", "--out", "o", "--format", NAME],
        [NAME],
    ],
)
def test_arguments_that_errors_repeat_are_escaped(words, capsys):
    assert main(words) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert "isavae" in said
    assert not CONTROLS & {*said}


def test_help_beside_an_odd_argument_is_help_alone(capsys):
    assert main(["fit", "a\x1b[31m", "--help"]) == 0
    out, said = capsys.readouterr()
    assert "usage: isavae fit" in out
    assert said == ""


def test_the_runs_and_scores_of_a_study_are_shown_as_they_are(capsys):
    heads = {"run": "left", "mig": "right"}
    shown = terminal.table(heads, [[NAME, "0.5"], ["[red]a[/red]", "1"]], NAME)
    terminal.show(shown)
    terminal.complain(NAME)
    out, said = capsys.readouterr()
    assert "[red]a[/red]" in out
    assert out.count("\\x1b[31mred") == 2
    assert not CONTROLS & {*out, *said}


@pytest.mark.parametrize("label", ["reading [/b].npy", f"reading {NAME}"])
def test_names_beside_a_progress_bar_are_no_marks(label, monkeypatch):
    """Square brackets ended with a traceback of rich."""
    screen = StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    assert [*progress([1, 2], 2, label)] == [1, 2]
    assert "\x1b]0;" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()
    assert "[/b]" in screen.getvalue()
