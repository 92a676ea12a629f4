"""What pages of the reference take from the code: commands, settings and public names."""

import inspect
import io
import os
import re
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from isavae.cli.command_line import VERBS, main
from isavae.runs import RunConfig

API = "reference/api/"


def fill(app: object, page: str, source: list[str]) -> None:
    """Append to a page what comes from the code, when sphinx reads it."""
    if page == "reference/commands":
        source[0] += "".join(map(command, VERBS))
    elif page == "reference/settings":
        source[0] += settings()
    elif page.startswith(API):
        source[0] += public_names(import_module("isavae." + page.removeprefix(API)))


def command(verb: str) -> str:
    """A heading, and what `isavae COMMAND --help` prints at 80 columns."""
    shown = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}), redirect_stdout(shown):
        main([*verb.split(), "--help"])
    lines = "\n".join(line.rstrip() for line in shown.getvalue().strip().splitlines())
    return f"\n## isavae {verb}\n\n```text\n{lines}\n```\n"


def settings() -> str:
    """A table of the settings of a run, without its objective."""
    rows = ["\n| setting | default | meaning |", "|---|---|---|"]
    for name, field in RunConfig.model_fields.items():
        if name != "objective":
            default = "" if field.default is None else f"`{field.default}`"
            meaning = re.sub(r"([*_|\\[\]])", r"\\\1", field.description or "")
            rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def public_names(module: ModuleType) -> str:
    """A table of the public names of a module, and their documentation by kind."""
    names = getattr(module, "__all__", None) or own_names(module)
    kinds = {"Classes": [], "Functions": [], "Constants and types": []}
    table = [".. autosummary::", "   :nosignatures:", ""]
    for name in names:
        value, full = getattr(module, name), f"{module.__name__}.{name}"
        if inspect.isclass(value):
            exception = issubclass(value, Exception)
            directive = f".. auto{'exception' if exception else 'class'}:: {full}\n   :members:\n"
            kinds["Classes"].append(directive)
        elif callable(value) and inspect.isroutine(value):
            kinds["Functions"].append(f".. autofunction:: {full}\n")
        else:
            text = "\n".join(f"   {line}" for line in comment_above(module, name))
            kinds["Constants and types"].append(f".. py:data:: {name}\n\n{text}\n")
            continue
        table.append(f"   {name}")
    parts = [(module.__doc__ or "").strip(), rst(f".. currentmodule:: {module.__name__}", *table)]
    for kind, directives in kinds.items():
        parts += [f"## {kind}", rst(*directives)] if directives else []
    return "\n" + "\n\n".join(parts) + "\n"


def rst(*lines: str) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```"])


def comment_above(package: ModuleType, name: str) -> list[str]:
    """The comment above the definition of a constant in a module of a package."""
    for home in Path(package.__file__).parent.rglob("*.py"):
        found = re.search(rf"((?:^# .*\n)*)^{name}\b.* = ", home.read_text("utf-8"), re.MULTILINE)
        if found:
            return [line.removeprefix("# ") for line in found[1].splitlines()]
    raise ValueError(f"{package.__name__}.{name} is defined nowhere")


def own_names(module: ModuleType) -> list[str]:
    """The public classes and functions that a module without `__all__` defines."""
    defined = [
        name
        for name, value in vars(module).items()
        if inspect.getmodule(value) is module and not name.startswith("_")
    ]
    return sorted(defined)


def escape(app: object, what: str, name: str, value: object, options: object, lines: list[str]):
    """Show the bars and stars of formulas in docstrings, outside of code and of examples."""
    if what == "property":  # its first line is a sentence: napoleon takes "x: y" for a type
        lines.insert(0, "")
    text = "\n".join(lines)
    literal = r"`[^`]*`|^ *>>>.*(?:\n.+)*|::\n(?:\n| +.*\n)*|\*\*[^*\n]+\*\*|\\."
    lines[:] = re.sub(
        rf"({literal})|([|*])", lambda m: m[1] or f"\\{m[2]}", text, flags=re.MULTILINE
    ).split("\n")
