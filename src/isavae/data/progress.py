"""A progress bar around an iteration, on terminals only."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Pass the items on, and show how far it is, if standard error is a terminal.

    Args:
        items: What to pass on.
        total: How many there will be.
        label: What is being done.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, label, total=total, console=Console(stderr=True), transient=True)
