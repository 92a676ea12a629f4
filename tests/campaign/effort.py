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
    """CPU time and wall time from now on.

    Args:
        used: The CPU seconds that are used so far.
    """

    def __init__(self, used: Callable[[], float] = cpu_seconds):
        self._used = used
        self._began, self._cpu = time.monotonic(), used()

    def hangs(self, seconds: float) -> bool:
        """Whether it has computed for longer, or waited for longer and computed next to nothing."""
        wall = time.monotonic() - self._began
        if wall < seconds:  # and one thread has computed no longer
            return False
        cpu = self._used() - self._cpu
        return cpu > seconds or cpu < wall * IDLE_SHARE
