"""Every command in a block of the README and the site runs, smaller, or has a reason not to."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isavae.cli import main

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "docs").glob("[!_]*/*.md"))

# Beginnings of commands that do not run here, and why.
LEFT_OUT = {
    "isavae explore": "serves until it is stopped: tests/explorer",
    "isavae push": "needs the Hub: tests/runs/test_trained_model.py has one of its own",
    "isavae data download": "needs the network: tests/data/official",
    "isavae data import": "needs a published file: tests/data/official",
    "isavae gpu-check": "tests/gpu_check",
    "isavae train --out run ": "tests/models/test_objectives_page.py runs them",
    "isavae study run table1": "thousands of runs: tests/studies has small ones, Ray's too",
    "isavae study plan table1": "its steps are too large: tests/studies",
    "isavae figure 1": "minutes of ICA: tests/figures/test_paper_figures.py",
    "isavae figure all": "figure 1 is among them",
}
# Pages with programs that need files of the reader (```py instead of ```python), and their tests.
PROGRAMS = {
    "practitioner.md": "tests/fitting/test_fit.py",
    "onnx.md": "tests/runs/test_trained_model.py",
}
# What makes the others small: the first pattern that a command begins with adds flags.
SMALLER = {
    "isavae fit ": "--steps 80 --seeds 2 --beta 1 --workers 2",
    'isavae train --data "images': "--steps 3 --width 8 --batch-size 8",
    "isavae train ": "--steps 10 --width 8",
    "isavae study plan ": "--seconds 0.01",
}
STUDY = """
name: pocket
seeds: 2
settings: {data: "dsprites16[shape=heart, scale=0, orientation=0]", width: 8, batch_size: 16, steps: 3}
runs:
  - model: [beta-vae, isa-vae]
    beta: [1, 2]
  - model: isa-vae-learned
"""  # noqa: E501


def commands(page: Path) -> list[str]:
    """The commands of the page's blocks, without comments, their lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(code for kind, code in blocks if kind in ("", "sh", "console"))
    lines = lines.replace("\\\n", " ")
    return re.findall(r"^(?:\$ )?(isavae .*?)(?: +#.*)?$", lines, re.MULTILINE)


def left_out(command: str) -> bool:
    return any(command.startswith(beginning) for beginning in LEFT_OUT)


SHOWN = {page: commands(page) for page in PAGES}
# tests/test_notebooks.py runs those of the tutorials.
RUN = {
    page: [command for command in shown if not left_out(command)]
    for page, shown in SHOWN.items()
    if page.parent.name != "tutorials"
}


def smaller(command: str) -> list[str]:
    """The words of a command after `isavae`; no file of its output."""
    more = next((flags for start, flags in SMALLER.items() if command.startswith(start)), "")
    for flag in re.findall(r"--\S+", more):
        command = re.sub(rf"{flag} \d+", "", command)
    command = re.sub(r"(study (?:run|plan)) (pocket|small|smoke)\b", r"\1 pocket.yaml", command)
    return shlex.split(command.partition(" > ")[0] + " " + more)[1:]


def save_files(page: Path) -> None:
    """Write the study files that the page tells to save, with few steps and a small network."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"Save this as `([\w.]+)`[^`]*.*?^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    for name, study in named:
        small = re.sub(r"(?m)^  (steps|width): \d+", r"  \1: 3", study)
        assert small != study
        Path(name).write_text(small, encoding="utf-8")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files that pages speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISAVAE_DEBUG", raising=False)
    rows, columns = np.mgrid[:32, :32]
    shown = [255 * ((rows - 8 - k % 16) ** 2 + (columns - 8 - k // 3) ** 2 < 40) for k in range(48)]
    discs = np.stack(shown).astype(np.uint8)
    for folder, width in (("images", 32), ("more-images", 32), ("spectrograms", 96)):
        (tmp_path / folder).mkdir()
        for k, disc in enumerate(discs):
            Image.fromarray(disc).resize((width, 32)).save(tmp_path / folder / f"{k}.png")
    np.save("cells.npy", np.stack([discs] * 3, -1))
    (tmp_path / "pocket.yaml").write_text(STUDY)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in RUN if RUN[page]], ids=lambda p: p.stem)
def test_the_commands_of_a_page_run(page, workplace, capsys):
    save_files(page)
    if any("runs/first" in c for c in RUN[page]) and not any("train" in c for c in RUN[page]):
        first = SHOWN[ROOT / "docs" / "how-to" / "first-model.md"][0]
        assert main(smaller(first)) == 0  # other pages take its run
    for command in RUN[page]:
        assert main(smaller(command)) == 0, f"{command}\n{capsys.readouterr().err}"


def test_every_program_that_does_not_run_with_its_page_has_a_test():
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    left_out = {page.name for page, text in texts.items() if re.search("^```py$", text, re.M)}
    assert left_out == {*PROGRAMS}
    untested = {
        page: test
        for page, test in PROGRAMS.items()
        if f'"{page}", "exec"' not in (ROOT / test).read_text(encoding="utf-8")
    }
    assert not untested


def test_every_reason_to_leave_a_command_out_is_needed():
    shown = [command for each in SHOWN.values() for command in each]
    assert len(shown) > 60
    assert sum(map(len, RUN.values())) > 35
    unused = {s for s in LEFT_OUT if not any(command.startswith(s) for command in shown)}
    assert not unused
