"""A release: its version and citation, the bytes of its archives, the workflow that tests it."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import isavae

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# Of the schema of the Citation File Format 1.2.0: the required keys, and the other ones that are
# allowed here. Every value is text but for lists, entities and years.
PERSON = ({"family-names", "given-names"}, {"orcid", "affiliation"})
ENTITY = ({"name"}, {"website", "date-start", "date-end", "location"})
IDENTIFIER = ({"type", "value"}, {"description"})
SOFTWARE = (
    {"authors", "cff-version", "message", "title"},
    {"keywords", "license", "preferred-citation", "type", "version", "date-released", "url"},
)
REFERENCE = (
    {"authors", "title", "type"},
    {"collection-title", "conference", "identifiers", "url", "year", "start", "end", "volume"},
)


def check_keys(value: dict, keys: tuple[set[str], set[str]]) -> None:
    required, allowed = keys
    assert required <= set(value) <= required | allowed
    for key, part in value.items():
        assert isinstance(part, int if key in ("year", "start", "end") else str | list | dict), key
        assert part, key


def test_the_citation_follows_the_schema():
    check_keys(CITATION, SOFTWARE)
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] in ("software", "dataset")
    for author in CITATION["authors"]:
        check_keys(author, ENTITY)
    paper = CITATION["preferred-citation"]
    check_keys(paper, REFERENCE)
    check_keys(paper["conference"], ENTITY)
    for author in paper["authors"]:
        check_keys(author, PERSON)
    for identifier in paper["identifiers"]:
        check_keys(identifier, IDENTIFIER)
        assert identifier["type"] in ("doi", "url", "swh", "other")


def test_the_citation_says_what_the_package_and_its_documentation_say():
    assert CITATION["version"] == PROJECT["version"] == isavae.__version__
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    paper = CITATION["preferred-citation"]
    surnames = ", ".join(author["family-names"] for author in paper["authors"])
    for page in ("README.md", "docs/paper.md", "docs/background/method.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert paper["title"] in text
        assert surnames in text
        assert str(paper["year"]) in text


def test_the_changelog_begins_with_the_version():
    first = re.findall("^## (.*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0]
    assert first.split()[0] == isavae.__version__
    assert ("(unreleased)" in first) == ("date-released" not in CITATION)


def built(source: Path, out: Path) -> dict[str, bytes]:
    """The wheel and the source archive of a folder, by name."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    made = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(command, cwd=source, env=made, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.slow
def test_archives_repeat_byte_for_byte_and_pass_the_checks_of_an_index(tmp_path):
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    first, second = tmp_path / "first", tmp_path / "second"
    for name in filter(None, tracked.stdout.split("\0")):
        for copy in (first, second):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        # Another time and other rights of the group, as in another checkout.
        os.utime(second / name, (10**9, 10**9))
        (second / name).chmod((second / name).stat().st_mode ^ 0o020)
    archives = built(first, tmp_path / "out")
    assert {Path(name).suffix for name in archives} == {".whl", ".gz"}
    assert built(second, tmp_path / "again") == archives

    shutil.unpack_archive(next((tmp_path / "out").glob("*.tar.gz")), tmp_path, filter="data")
    unpacked = built(tmp_path / f"isavae-{isavae.__version__}", tmp_path / "from-archive")
    wheel = next(name for name in archives if name.endswith(".whl"))
    assert unpacked[wheel] == archives[wheel], "the source archive lacks something"

    files = sorted(map(str, (tmp_path / "out").iterdir()))
    tools = Path(sys.executable).parent
    for command in (
        [tools / "twine", "check", "--strict", *files],
        [tools / "check-wheel-contents", *files[:1]],
    ):
        checked = subprocess.run(command, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def runs(job: str) -> list[str]:
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_runs_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"\$\((\w+)\)", MAKEFILE))
    commands = [words for job in WORKFLOW["jobs"] for run in runs(job) if (words := run.split())]
    makes = [words for words in commands if words[0] == "make"]
    assert len(makes) == len(WORKFLOW["jobs"])
    for words in makes:
        named = [w for w in words[1:] if "=" not in w and w not in ("-C", "~/isavae")]
        assert set(named) <= targets
        assert {w.partition("=")[0] for w in words if "=" in w} <= variables
    assert {words[0] for words in commands} == {"make", "git", "cp"}


def test_the_workflow_runs_the_readme_s_test_command_on_every_python():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make test " in readme
    assert runs("linux") == runs("macos") == ["make test PYTHON=python"]
    assert runs("wsl")[-1] == "make -C ~/isavae test"
    script = (ROOT / "tools/test_versions.sh").read_text(encoding="utf-8")
    versions = re.search(r"for version in ([\d. ]+);", script)[1].split()
    assert WORKFLOW["jobs"]["linux"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_the_index_shows_no_link_that_leads_nowhere_there():
    """An index shows the readme away from the repository: links within it would be dead."""
    made: dict[str, dict[str, str]] = {}
    hook = runpy.run_path(str(ROOT / "tools/index_readme.py"))["IndexReadme"]
    hook(str(ROOT), {}).update(made)
    shown = made["readme"]["text"]
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert all(link.startswith("https://") for link in links), links
    written = (ROOT / "README.md").read_text(encoding="utf-8")
    inside = re.findall(r"(?<!!)\[([^\]]*)\]\((?!https://)[^)]*\)", written)
    assert inside
    assert all(title in shown for title in inside)
