"""The command `isavae`, also as `python -m isavae`: the command line in a process of its own."""

import os
import signal
import sys
import threading
import time
from typing import NoReturn

from isavae import cli

# Seconds that requests may still compute after the explorer has been asked to end.
PATIENCE = 1.0


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    code = cli.main()
    _ignore_signals()
    if sys.argv[1:2] == ["explore"]:
        _end_despite_requests(code)
    # An interrupt within `exec`, such as of dataclasses in a module that is imported, stays noted
    # until the next one: `python -m` would end as killed by it, whatever the code.
    exec("")
    sys.exit(code)


def _ignore_signals() -> None:
    """Let no signal change the exit code of a command that has ended, nor print a traceback."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_despite_requests(code: int) -> None:
    """End the process, whose end would wait for what requests still compute, after a second."""
    until = time.monotonic() + PATIENCE
    working = [each for each in threading.enumerate() if each is not threading.main_thread()]
    for thread in working:
        thread.join(max(0, until - time.monotonic()))
    if any(thread.is_alive() and not thread.daemon for thread in working):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
