"""The command `isavae`, also as `python -m isavae`: the command line in a process of its own."""

import os
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
    if sys.argv[1:2] == ["explore"]:
        _end_despite_requests(code)
    sys.exit(code)


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
