"""The promises of docs/architecture.md and CONTRIBUTING.md that import-linter cannot check."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "isavae"

# Where each optional package may be imported, by an import statement or by `import_extra`.
HOMES = {
    "PIL": "data fit explorer",
    "anyio": "explorer",
    "fsspec": "studies/remote.py",
    "h5py": "data",
    "huggingface_hub": "sharing runs",
    "jinja2": "pages.py",
    "matplotlib": "figures report",
    "onnx": "sharing runs",
    "onnxruntime": "sharing runs",
    "onnxscript": "sharing runs",
    "pandas": "metrics/score_table.py",
    "polars": (
        "data/own/table_process.py metrics/score_table.py studies/tables figures report fitting cli"
    ),
    "pyro": "distributions/pyro.py",
    "ray": "studies/engines/ray.py",
    "requests": "data/official",
    "s3fs": "",
    "scipy": "data/official metrics toys",
    "sklearn": "estimator metrics",
    "starlette": "explorer",
    "tensorboard": "runs/tracking.py",
    "tifffile": "data/own/tiff_file.py",
    "torch.utils.tensorboard": "runs/tracking.py",
    "torchmetrics": "metrics/torchmetrics.py",
    "uvicorn": "explorer",
}

BANNED = {
    r"\blaws?\b": "distribution",
    r"\bgets? a sentence\b": "say what is raised",
    r"\bsomebody\b": "name who: another process, a user",
    r"\bwhat (it|he|she) says about\b": "say what it holds",
    r"\bthe processor\b": "the CPU",
}
# Public text that is checked for banned words.
CHECKED = "src docs examples benchmarks README.md CONTRIBUTING.md CHANGELOG.md Makefile".split()
TEXTS = {".py", ".md", ".html", ".js", ".css", ".j2", ".yaml", ""}


def test_import_loads_no_optional_dependency():
    script = (
        "import sys, isavae, isavae.distributions, isavae.models, isavae.runs\n"
        f"loaded = [name for name in {list(HOMES)!r} if name in sys.modules]\n"
        "allowed = {'fsspec'}  # torch imports it\n"
        "assert not set(loaded) - allowed, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_import_loads_no_compiler():
    """`torch.compile`'s machinery takes two seconds to import, and most users never need it."""
    script = (
        "import sys, isavae.distributions\n"
        "isavae.distributions.LpNested('2[2*2, z]').sample()\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_training_and_evaluation_need_no_extra():
    script = (
        "import sys, isavae.cli.training, isavae.cli.evaluation, isavae.cli.gpu_check\n"
        "assert not {'matplotlib', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_studies_load_no_ray():
    script = "import sys, isavae.studies\nassert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def imported(text: str) -> Iterator[tuple[int, str]]:
    """The line and name of every module that is imported, by a statement or by `import_extra`."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(name)):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id="import_extra"), args=[ast.Constant(value=name)]):
                yield node.lineno, name


def test_optional_packages_are_imported_in_their_homes():
    offenders = []
    for file in sorted(SOURCE.rglob("*.py")):
        place = file.relative_to(SOURCE)
        for line, name in imported(file.read_text(encoding="utf-8")):
            for package, homes in HOMES.items():
                is_home = any(place.is_relative_to(home) for home in homes.split())
                if f"{name}.".startswith(f"{package}.") and not is_home:
                    offenders.append(f"{place}:{line} imports {name}")
    assert not offenders, "\n".join(offenders)


# Where the time of day is shown, or compared with that of files; durations and ends of waiting must
# not follow a clock that is set.
SHOWS_THE_TIME = {"cli/gpu_check.py", "report/study_report.py", "studies/tables/run_table.py"}


def test_durations_are_of_a_clock_that_is_never_set():
    wall = re.compile(r"\btime\.time(_ns)?\(|\bdatetime\.(utc)?now\(|\bdate\.today\(")
    found = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if wall.search(file.read_text(encoding="utf-8"))
    }
    assert found == SHOWS_THE_TIME
    imported = re.compile(r"from time import .*\b(time|time_ns)\b")
    assert not [f for f in SOURCE.rglob("*.py") if imported.search(f.read_text(encoding="utf-8"))]


def test_commands_print_in_one_place():
    """There names and texts of files are escaped, before they reach the terminal."""
    printing = [
        f"{file.name}:{node.lineno}"
        for file in sorted((SOURCE / "cli").glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "console.print")
    ]
    assert {place.split(":")[0] for place in printing} == {"terminal.py"}, printing


def test_no_name_of_a_face_hides_a_module():
    """`isavae.metrics.mig` must be one thing: a function, or the module that holds it."""
    offenders = []
    faces = [face for face in sorted(SOURCE.rglob("__init__.py")) if face.parent != SOURCE]
    for face in faces:  # isavae itself gives modules on purpose
        modules = {path.stem for path in face.parent.iterdir() if path != face}
        for node in ast.parse(face.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                hidden = modules & set(ast.literal_eval(node.value))
                where = face.parent.relative_to(SOURCE)
                offenders += [f"{where}: {name}" for name in sorted(hidden)]
    assert not offenders, "\n".join(offenders)


def public_text(file: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a file; of Python its strings and comments only."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    spoken = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in spoken:
            yield from enumerate(token.string.splitlines(), token.start[0])


def banned_words(*places: str) -> list[str]:
    """Every banned word in the public text of some files and folders, with its line."""
    tops = [ROOT / place for place in places]
    files = [file for top in tops for file in ([top] if top.is_file() else sorted(top.rglob("*")))]
    return [
        f"{file.relative_to(ROOT)}:{line} {found[0]!r}: {advice}"
        for file in files
        if file.is_file() and file.suffix in TEXTS and "_build" not in file.parts
        for line, text in public_text(file)
        for word, advice in BANNED.items()
        if (found := re.search(word, text, re.IGNORECASE))
    ]


def test_public_text_has_no_banned_words():
    offenders = banned_words(*CHECKED)
    assert not offenders, "\n".join(offenders)


def test_a_banned_word_is_found_in_text_and_not_in_code(tmp_path, monkeypatch):
    (tmp_path / "module.py").write_text('law = 1\n\n"""Uses\nlaws."""\n')
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert banned_words(".") == ["module.py:4 'laws': distribution"]
