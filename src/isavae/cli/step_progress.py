"""Progress of a command: a bar on a terminal, plain lines elsewhere."""

import time
from contextlib import ExitStack
from typing import final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from isavae.cli.terminal import complain, console

# Seconds between two lines where there is no terminal: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
# Columns of the bar, and of the share, the time remaining and the spaces between them.
BAR_WIDTH, OTHERS_WIDTH = 20, 17


def pause(elapsed: float) -> float:
    """Seconds between two lines after so many seconds of work: an hour takes 80 lines, not 360.

    >>> pause(60.0), pause(1200.0), pause(86400.0)
    (10.0, 60.0, 300.0)
    """
    return min(max(FIRST_PAUSE, elapsed / 20), LONGEST_PAUSE)


@final
class StepProgress:
    """Shows progress, values, rate and time remaining.

    Args:
        label: Name of the activity.
        unit: Unit of the rate, e.g. "images"; None for steps that have no unit, "%" for percents.
        units_per_step: Units per step.
    """

    def __init__(self, label: str, unit: str | None = "images", units_per_step: int = 1):
        self._label, self._unit, self._units_per_step = label, unit, units_per_step
        self._console = console(stderr=True)
        self._first: tuple[int, float] | None = None
        self._printed, self._last = 0.0, -1
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
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
        has_rate = self._unit not in (None, "%") and step > first_step
        parts = [f"{rate:,.0f} {self._unit}/s"] if has_rate else []
        parts += [f"{name} {value:.2f}" for name, value in (values or {}).items()]
        if self._console.is_terminal:
            shown = self._fitting(parts)
            self._bar.update(self._task, completed=step, total=steps, values=shown)
        elif step != self._last and (step == steps or now - self._printed > pause(now - started)):
            self._printed, self._last = now, step
            left = (steps - step) * (now - started) / max(step - first_step, 1)
            remaining = f", {left:.0f} s left" if first_step < step < steps else ""
            done = f"{step} %" if self._unit == "%" else f"{step}/{steps}"
            said = f"{self._label}: {done} {' '.join(parts)}".rstrip()
            complain(said + remaining)

    def _fitting(self, parts: list[str]) -> str:
        """The first parts, as many as fit the terminal's width beside bar and time remaining."""
        room = self._console.width - len(self._label) - BAR_WIDTH - OTHERS_WIDTH
        while parts and len(" ".join(parts)) > room:
            parts = parts[:-1]
        return " ".join(parts)


@final
class StageProgress:
    """Show the progress of work in several stages, one `StepProgress` after another.

    Args:
        unit: Unit of the rate, e.g. "images".
    """

    def __init__(self, unit: str = "images"):
        self._unit, self._stage, self._open = unit, "", ExitStack()

    def __enter__(self) -> "StageProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Show that `step` of the `steps` of a stage are done."""
        if stage != self._stage:
            self._open.close()
            self._stage = stage
            self._progress = self._open.enter_context(StepProgress(stage, self._unit))
        self._progress(step, steps)
