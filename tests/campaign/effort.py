"""How much work something has taken: what hangs, and what is only slow on a busy machine."""

import os
import time
from collections.abc import Callable
from typing import final

# Of the wall time: what uses less of the processor waits for something else.
IDLE_SHARE = 1 / 50


def cpu_seconds() -> float:
    """The CPU time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


@final
class Effort:
    """CPU time from now on, and whether it goes on.

    Args:
        used: The CPU seconds that are used so far.
    """

    def __init__(self, used: Callable[[], float] = cpu_seconds):
        self._used = used
        self._began = self._seen = used()
        self._looked = time.monotonic()

    def hangs(self, seconds: float) -> bool:
        """Whether it has computed for that long, or waited since the last look as long ago."""
        wall = time.monotonic() - self._looked
        if wall < seconds:
            return False
        used, seen = self._used(), self._seen
        self._looked, self._seen = self._looked + wall, used
        return used - self._began > seconds or used - seen < wall * IDLE_SHARE
