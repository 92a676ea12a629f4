"""What commands show: lines and tables, in which no name or text of a file moves the cursor."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from isavae.errors import printable

Side: TypeAlias = Literal["left", "right"]

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def say(*lines: object) -> None:
    """Print lines on standard output."""
    print(_escaped(lines), flush=True)


def say_wrapped(*sentences: str) -> None:
    """Print sentences; on a terminal they break between words, and go on below their beginning."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        sentences = tuple(textwrap.fill(s, width, subsequent_indent="  ") for s in sentences)
    say(*sentences)


def complain(*lines: object) -> None:
    """Print lines on standard error."""
    print(_escaped(lines), file=sys.stderr, flush=True)


def _escaped(lines: tuple[object, ...]) -> str:
    return "\n".join(printable(str(line)) for line in lines)


def cell(value: object) -> "Text":
    """A value as it is, where rich would take brackets for its own marks."""
    from rich.text import Text

    return Text(printable(str(value)))


def table(
    columns: Mapping[str, Side],
    rows: Iterable[Sequence[object]],
    title: str = "",
) -> "Table":
    """A table with heads over columns that are aligned to a side; rows may be shorter."""
    from rich.table import Table

    shown = Table(title=cell(title) if title else None, title_justify="left", box=None)
    for name, side in columns.items():
        shown.add_column(cell(name), justify=side, overflow="fold")
    for row in rows:
        shown.add_row(*map(cell, row))
    return shown


def console(stderr: bool = False) -> "Console":
    """Standard output or standard error for rich, a terminal only where it is one.

    `FORCE_COLOR` alone, which the kernel of a notebook sets, would bring every frame of a bar into
    the output of a cell.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, force_terminal=None if stream and stream.isatty() else False)


def fits(shown: "Table") -> bool:
    """Whether a table fits the width of the terminal; always true elsewhere."""
    on = console()
    return not on.is_terminal or _width(shown) <= on.width


def show(shown: "Table") -> None:
    """Print a table, elsewhere than on a terminal at its whole width."""
    on = console()
    if not on.is_terminal:
        on.width = _width(shown)
    on.print(shown, highlight=False)


def _width(shown: "Table") -> int:
    """The width at which no cell wraps."""
    on = console()
    return on.measure(shown, options=on.options.update(max_width=10_000)).maximum
