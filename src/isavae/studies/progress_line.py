"""The progress of a study in Python: one line in a terminal or a notebook, nothing elsewhere."""

import sys
import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from isavae.studies.driver import StudyProgress

# Between two changes of the line.
SECONDS = 0.5


@final
class ProgressLine:
    """Writes how much of a study is done on the standard error, over and over on one line."""

    def __init__(self):
        stream = sys.stderr
        # A notebook's standard error is no terminal, but returns to the start of a line like one.
        in_notebook = type(stream).__module__.startswith("ipykernel.")
        self._stream = stream if stream and (stream.isatty() or in_notebook) else None
        self._written = float("-inf")

    def __call__(self, progress: "StudyProgress") -> None:
        """Write the line, and end it when the study is over."""
        over = progress.stopped or not (progress.running or progress.left)
        now = time.monotonic()
        if self._stream is None or (not over and now - self._written < SECONDS):
            return
        self._written = now
        self._stream.write(f"\r{describe(progress):<60}" + "\n" * over)
        self._stream.flush()


def describe(progress: "StudyProgress") -> str:
    """How much is done, and how long the rest takes at the rate of now.

    >>> from isavae.studies import StudyProgress
    >>> describe(StudyProgress(total=4, done=1, failed={"b": "out of memory"}))
    '1 of 4 runs done, 25 %, 1 failed'
    """
    parts = [f"{progress.done} of {progress.total} runs done", f"{100 * progress.share:.0f} %"]
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    seconds = progress.seconds_left()
    if seconds:
        minutes, rest = divmod(round(seconds), 60)
        parts.append(f"about {f'{minutes} min' if minutes else f'{rest} s'} left")
    return ", ".join(parts)
