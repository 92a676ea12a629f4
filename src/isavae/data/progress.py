"""A progress bar around an iteration, on terminals only."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T], total: int, label: str, amount: Callable[[T], int] = lambda item: 1
) -> Iterator[T]:
    """Pass items on, and show how far it is and how long it takes, if standard error is a terminal.

    Args:
        items: What to pass on.
        total: The sum of all amounts.
        label: What is being done.
        amount: How much an item counts.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total or None)
        for item in items:
            yield item
            bar.advance(task, amount(item))
