"""The documentation as a site: it builds without a warning, and what its pages name exists."""

import ast
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from importlib import import_module
from inspect import getdoc, isclass, isroutine
from pathlib import Path
from types import FunctionType, ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

import isavae
from isavae.cli.command_line import VERBS
from isavae.figures.style import FILE_DPI
from isavae.runs import RunConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import from_code  # noqa: E402

pytestmark = pytest.mark.system

PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
PACKAGES = sorted(path.stem for path in (DOCS / "reference" / "api").glob("*.md"))


class Links(HTMLParser):
    """The targets that a page refers to, what it loads, and the places in it."""

    def __init__(self, page: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        target = given.get("src") or given.get("href")
        if target is not None:
            (self.links if tag == "a" else self.loaded).append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", out / "read"]
    built = subprocess.run([*command, DOCS, out / "html"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out / "html"


def test_links_lead_to_pages_and_places_and_nothing_is_loaded_from_elsewhere(site):
    pages = {page: Links(page) for page in site.rglob("*.html")}
    broken = []
    for page, found in pages.items():
        for target in found.links + found.loaded:
            parts = urlsplit(unescape(target))
            if parts.scheme or parts.netloc:
                if target in found.loaded:
                    broken.append(f"{page.name} loads {target}")
                continue
            goal = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            places = pages[goal].places if goal in pages else set()
            if not goal.exists() or (goal in pages and parts.fragment not in places | {""}):
                broken.append(f"{page.name} refers to {target}")
    assert len(pages) > len(PAGES)
    assert not broken, "\n".join(broken)


def test_every_public_package_and_name_has_a_place(site):
    missing = {path.parent.name for path in (ROOT / "src/isavae").glob("*/__init__.py")}
    missing -= {*PACKAGES, "cli"}
    missing |= {*PACKAGES} - {*isavae.__all__}
    for package in PACKAGES:
        module = import_module(f"isavae.{package}")
        places = Links(site / "reference" / "api" / f"{package}.html").places
        public = {f"isavae.{package}.{name}" for name in getattr(module, "__all__", [])}
        missing |= public - places
    assert not missing


def undocumented(module: ModuleType) -> set[str]:
    """The public names of a module, and the methods and properties of its classes, without text."""
    missing = set()
    for name in getattr(module, "__all__", None) or from_code.own_names(module):
        value = getattr(module, name)
        if not (isclass(value) or isroutine(value)):
            missing |= {name} - {name for _ in from_code.comment_above(module, name)}
            continue
        members = vars(value) if isclass(value) else {}
        parts = {f"{name}.{key}": key for key in members if not key.startswith("_")}
        texts = {full: getdoc(getattr(value, key)) for full, key in parts.items()}
        kinds = (property, classmethod, staticmethod, FunctionType)
        missing |= {full for full in parts if isinstance(members[parts[full]], kinds)} & {
            full for full, text in texts.items() if not text
        }
        missing |= {name} if not vars(value).get("__doc__", value.__doc__) else set()
    return missing


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_the_reference_says_what_it_is(package):
    assert not undocumented(import_module(f"isavae.{package}"))


def help_texts(site: Path) -> dict[str, str]:
    """What the page of commands says of each one."""
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    parts = re.split(r"<h2>isavae ([^<]+)<", text)[1:]
    return dict(zip(parts[::2], map(unescape, parts[1::2]), strict=True))


def shown_commands() -> list[tuple[str, str]]:
    """Every command in a block of README.md and docs/, with the file that shows it."""
    found = []
    for path in [ROOT / "README.md", *PAGES]:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [
                (path.name, x) for x in re.findall(r"^(?:\$ )?(isavae .*)", "\n".join(lines), re.M)
            ]
    return found


def test_commands_and_flags_that_pages_show_exist(site):
    texts = help_texts(site)
    assert {*texts} == {*VERBS}
    unknown = []
    for page, line in shown_commands():
        words = line.partition(" #")[0].split()[1:]
        verb = next((v for v in (" ".join(words[:2]), words[0]) if v in VERBS), None)
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        if verb is None:
            unknown += [f"{page}: {line}"] * (flags not in ({"--help"}, {"--completion"}))
            continue
        known = {*re.findall(r"--[\w.-]+", texts[verb]), "--help"}
        unknown += [f"{page}: {flag} of {line}" for flag in flags - known]
    assert len(shown_commands()) > 40
    assert not unknown, "\n".join(unknown)


def test_messages_on_their_page_are_those_of_the_code():
    page = (DOCS / "reference" / "messages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]*(?:…|; )[^`]*)` \|", page, re.MULTILINE)
    texts = "\n".join(
        node.value
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    pieces = {piece.strip(" :;") for row in rows for piece in row.split("…")}
    assert len(rows) > 8
    assert not {piece for piece in pieces if piece not in texts}


def test_the_readme_leads_to_the_site_and_to_every_example():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "`docs/index.md`" in readme
    assert "`examples/`" in readme
    shown = (DOCS / "how-to" / "examples.md").read_text(encoding="utf-8")
    examples = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert examples == {*re.findall(r"examples/(\w+\.py)", shown)}


def test_the_gallery_has_every_image():
    gallery = (DOCS / "background" / "gallery.md").read_text(encoding="utf-8")
    assert {*re.findall(r"images/([\w-]+\.png)", gallery)} == {
        path.name for path in (DOCS / "images").iterdir()
    }


def test_figures_on_the_site_have_the_resolution_of_files():
    saved = {}
    for path in (DOCS / "images").iterdir():
        with Image.open(path) as image:
            if dpi := image.info.get("dpi"):
                saved[path.name] = round(dpi[0])
    assert len(saved) > 15
    assert {*saved.values()} == {FILE_DPI}, saved


def test_descriptions_of_settings_stand_on_the_site_letter_by_letter(site):
    page = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    text = unescape(re.sub(r"<[^>]+>", "", page)).translate(str.maketrans("“”’", '""\''))
    for name, field in RunConfig.model_fields.items():
        assert name == "objective" or (field.description or "").replace("`", "") in text
