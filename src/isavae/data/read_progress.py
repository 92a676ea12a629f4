"""A progress bar around an iteration, on terminals only."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from isavae.errors import printable

T = TypeVar("T")


def progress(
    items: Iterable[T],
    total: float | int,
    label: str,
    amount: Callable[[T], float | int] = lambda item: 1,
    unit: str = "",
) -> Iterator[T]:
    """Yield items, and show progress, rate and time remaining.

    Nothing is shown if standard error is not a terminal.

    Args:
        items: What to yield.
        total: The sum of all amounts.
        label: The text beside the bar.
        amount: The amount of an item.
        unit: The unit of amounts; without it no rate is shown.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # names may have brackets
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        "{task.fields[rate]}",
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(label), total=total or None, rate="")
        for item in items:
            yield item
            bar.advance(task, amount(item))
            if unit and (speed := bar.tasks[0].speed):
                bar.update(task, rate=f"{speed:,.0f} {unit}/s")
