"""What commands show: lines and tables, in which no name or text of a file moves the cursor."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from isavae.errors import printable

Side: TypeAlias = Literal["left", "right"]

if TYPE_CHECKING:
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


def fits(shown: "Table") -> bool:
    """Whether a table fits the width of the terminal; always true elsewhere."""
    from rich.console import Console

    console = Console()
    return not console.is_terminal or _width(shown) <= console.width


def show(shown: "Table") -> None:
    """Print a table, elsewhere than on a terminal at its whole width."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _width(shown)
    console.print(shown, highlight=False)


def _width(shown: "Table") -> int:
    """The width at which no cell wraps."""
    from rich.console import Console

    console = Console()
    return console.measure(shown, options=console.options.update(max_width=10_000)).maximum
