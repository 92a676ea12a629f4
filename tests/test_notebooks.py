"""The tutorials as notebooks: each runs from its first cell to its last, and shows its figures."""

import os
import re
import sys
from importlib.resources import files
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from notebooks import TUTORIALS, notebook  # noqa: E402

pytestmark = pytest.mark.system

PAGES = sorted(TUTORIALS.glob("*.md"))


@pytest.fixture(autouse=True)
def folders_of_jupyter(tmp_path_factory, monkeypatch):
    """A kernel writes files below the home, which need not be writable."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name)))


def sources(made: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_has_every_command_of_its_page_and_no_link_of_the_site(page):
    made = notebook(page)
    nbformat.validate(made)
    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"^(?:\$ )?(isavae (?!explore).*)", text, re.MULTILINE)
    blocks = re.findall(r"^```python\n(.*?)\n```", text, re.MULTILINE | re.DOTALL)
    assert commands or blocks
    assert not {part for part in commands + blocks if part not in sources(made)}
    assert not re.search(r"\]\((?!https:)", "".join(c.source for c in made.cells[::2]))


def smaller_study(name: str) -> str:
    """A shipped study with few steps, a small network, one seed and one β."""
    text = files("isavae.studies.shipped").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    text, changed = re.subn(r"(?m)^  steps: \d+", "  steps: 20", text)
    assert changed == 1
    text = re.sub(r"(?m)^seeds: \d+", "seeds: 1", text)
    text = re.sub(r"(?m)^    beta: .*", "    beta: 1", text)
    return re.sub(r"(?m)^  width: \d+", "  width: 16", text)


def test_the_tutorials_are_these():
    titles = [page.read_text(encoding="utf-8").partition("\n")[0] for page in PAGES]
    assert titles == [
        "# Reproduce the paper's Figure 5 in ten minutes",
        "# From a folder of images to axes",
        "# Lp-nested distributions in your own torch or Pyro model",
    ]


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_runs(page, whole, tmp_path, monkeypatch):
    """As it stands, or with few steps of training."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    made = notebook(page)
    if not whole:
        (tmp_path / "pocket.yaml").write_text(smaller_study("pocket"))
        for each in made.cells:
            flags = "--beta 1 --seeds 2 --steps 150"  # at β = 4 nothing is learned so soon
            source = re.sub(r"--beta 4 --seeds 2 --steps \d+", flags, each.source)
            source = source.replace("study plan pocket", "study plan pocket --seconds 0.01")
            each.source = re.sub(r"(study (?:run|plan)) pocket\b", r"\1 pocket.yaml", source)
    client = NotebookClient(
        made, timeout=7200 if whole else 600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    printed = "".join(out.get("text", "") for cell in cells for out in cell.outputs)
    assert "\x1b" not in printed  # a kernel sets FORCE_COLOR, but no frame of a bar stands here


@pytest.mark.slow
def test_figures_and_scores_show_themselves(tmp_path):
    code = [
        "from isavae import LpTree, figures\nfigures.draw_tree(LpTree.parse('2.1[2.2*4, 2.2*4]'))",
        "import torch\nfrom isavae.metrics import Codes, evaluate\n"
        "evaluate(Codes(torch.randn(99, 2)), 'active_units')",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
    NotebookClient(made, timeout=120, kernel_name="python3").execute()
    figure, table = (cell.outputs[-1]["data"] for cell in made.cells)
    assert "image/png" in figure
    assert "<td>active_units</td>" in table["text/html"]
