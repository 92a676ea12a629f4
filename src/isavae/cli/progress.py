"""Progress of commands and studies: live on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import ExitStack
from typing import final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from isavae.studies import StudyProgress


@final
class StepProgress:
    """Shows progress, values, rate and time remaining.

    Args:
        label: Name of the activity.
        unit: Unit of the rate, e.g. "images".
        units_per_step: Units per step.
    """

    def __init__(self, label: str, unit: str = "images", units_per_step: int = 1):
        self._label, self._unit, self._units_per_step = label, unit, units_per_step
        self._console = Console(file=sys.stderr)
        self._first: tuple[int, float] | None = None
        self._printed = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[values]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, values="")

    def __enter__(self) -> "StepProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, step: int, steps: int, values: dict[str, float] | None = None) -> None:
        """Show that `step` of `steps` are done."""
        now = time.monotonic()
        if self._first is None:
            self._first = (step, now)
        first_step, started = self._first
        rate = (step - first_step) * self._units_per_step / max(now - started, 1e-9)
        shown = " ".join(f"{name} {value:.2f}" for name, value in (values or {}).items())
        if step > first_step:
            shown += f" {rate:,.0f} {self._unit}/s"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=step, total=steps, values=shown.strip())
        elif step == steps or now - self._printed > 10:
            self._printed = now
            left = (steps - step) * (now - started) / max(step - first_step, 1)
            remaining = f", {left:.0f} s left" if first_step < step < steps else ""
            print(f"{self._label}: {step}/{steps} {shown.strip()}{remaining}", file=sys.stderr)


@final
class StageProgress:
    """Show the progress of work in several stages, one `StepProgress` after another."""

    def __init__(self):
        self._stage, self._open = "", ExitStack()

    def __enter__(self) -> "StageProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Show that `step` of the `steps` of a stage are done."""
        if stage != self._stage:
            self._open.close()
            self._stage, self._progress = stage, self._open.enter_context(StepProgress(stage))
        self._progress(step, steps)


LINE_SECONDS = 10.0
SHOWN_RUNS = 16


@final
class LiveProgress:
    """Shows counts, rate, time remaining and the best run so far on stderr."""

    def __init__(self):
        self._console = Console(file=sys.stderr)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._printed = time.monotonic() - LINE_SECONDS

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
        elif time.monotonic() - self._printed >= LINE_SECONDS or not (
            progress.left or progress.running
        ):
            self._printed = time.monotonic()
            print(describe(progress), file=sys.stderr)


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
    table = Table(box=None, pad_edge=False)
    table.add_column("running")
    table.add_column("step", justify="right")
    for run, (step, steps) in list(progress.running.items())[:SHOWN_RUNS]:
        table.add_row(run, f"{step:,}/{steps:,}" if step else "starting")
    return Group(*_facts(progress), "", table)
