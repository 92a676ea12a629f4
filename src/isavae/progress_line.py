"""Progress in Python: one line in a terminal or a notebook, nothing elsewhere."""

import sys
import time
from typing import final

# Between two changes of the line.
SECONDS = 0.5


@final
class ProgressLine:
    """Writes a sentence on the standard error, over and over on one line; the block ends it.

    >>> with ProgressLine() as line:  # shows nothing here, which is no terminal
    ...     line("1 of 2 done")
    """

    def __init__(self):
        stream = sys.stderr
        # A notebook's standard error is no terminal, but returns to the start of a line like one.
        in_notebook = type(stream).__module__.startswith("ipykernel.")
        self._stream = stream if stream and (stream.isatty() or in_notebook) else None
        self._written, self._text = float("-inf"), ""

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._text:
            self._write("\n")

    def __call__(self, text: str) -> None:
        """Show a text, at the latest when the block ends."""
        self._text = text
        if time.monotonic() - self._written >= SECONDS:
            self._write("")

    def _write(self, end: str) -> None:
        self._written = time.monotonic()
        if self._stream:
            self._stream.write(f"\r{self._text:<60}{end}")
            self._stream.flush()


def time_left(seconds: float) -> str:
    """A rounded time span.

    >>> time_left(42.3), time_left(150.0)
    ('about 42 s left', 'about 2 min left')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"about {f'{minutes} min' if minutes else f'{rest} s'} left"
