"""Progress of a study: a live table on a terminal, plain lines elsewhere."""

import math
import time
from typing import final

from rich.console import Group
from rich.live import Live

from isavae.cli.step_progress import pause
from isavae.cli.terminal import cell, complain, console, table
from isavae.studies import StudyProgress

SHOWN_RUNS = 16


@final
class LiveProgress:
    """Shows counts, rate, time remaining and the best run so far on stderr."""

    def __init__(self):
        self._console = console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started, self._printed = time.monotonic(), -math.inf

    def __enter__(self) -> "LiveProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, progress: StudyProgress) -> None:
        if self._console.is_terminal:
            self._live.update(_table(progress), refresh=True)
            return
        now, ended = time.monotonic(), not (progress.left or progress.running)
        if ended or now - self._printed >= pause(now - self._started):
            self._printed = now
            complain(describe(progress))


def describe(progress: StudyProgress) -> str:
    """The progress of a study in one line.

    >>> describe(StudyProgress(total=4, done=1))
    '1/4 done, 0 running, 0 failed, 3 left'
    """
    return ", ".join(_facts(progress))


def _facts(progress: StudyProgress) -> list[str]:
    """Counts; rate and time remaining; the best run so far: lines of 80 columns at most."""
    facts = [
        f"{progress.done:,}/{progress.total:,} done, {len(progress.running):,} running, "
        f"{len(progress.failed):,} failed, {progress.left:,} left"
    ]
    seconds = progress.seconds_left()
    if seconds is not None:
        facts.append(f"{progress.rate() * 3600:,.0f} runs/h, {duration(seconds)} left")
    if progress.best:
        facts.append(f"best MIG {progress.best[1]:.3f} ({progress.best[0]})")
    return facts


def duration(seconds: float) -> str:
    """Format a time span.

    >>> duration(42.0), duration(600.0), duration(9000.0), duration(260000.0)
    ('42 s', '10.0 min', '2.5 h', '3.0 days')
    """
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _table(progress: StudyProgress) -> Group:
    running = [
        (run, f"{step:,}/{steps:,}" if step else "starting")
        for run, (step, steps) in list(progress.running.items())[:SHOWN_RUNS]
    ]
    shown = table({"running": "left", "step": "right"}, running)
    return Group(*map(cell, _facts(progress)), "", shown)
