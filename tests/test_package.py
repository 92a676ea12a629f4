"""What a stranger gets: the wheel is whole, and says what it needs."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        yield archive


def test_wheel_holds_every_source_file(wheel):
    listing = subprocess.run(
        ["git", "ls-files", "src"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    sources = {path.removeprefix("src/") for path in listing.stdout.splitlines()}
    assert sources
    assert sources <= set(wheel.namelist())


def test_wheel_requires_the_base_dependencies_only(wheel):
    name = next(n for n in wheel.namelist() if n.endswith("METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    base = {r.split(">")[0] for r in metadata.get_all("Requires-Dist") if "extra ==" not in r}
    assert base == {
        "docstring-parser",
        "filelock",
        "jaxtyping",
        "numpy",
        "pydantic",
        "pyyaml",
        "rich",
        "safetensors",
        "torch",
        "tyro",
    }


def test_the_description_has_no_images_and_links_that_an_index_does_not_follow(wheel):
    name = next(n for n in wheel.namelist() if n.endswith("METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    described = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"\]\(([^)]*)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("https://")]
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]*)\)", described))
    assert "![" not in described
    assert "[results over seeds" not in described
    assert "results over seeds and CPUs" in described
