"""Processes of their own, forked from a server with torch loaded."""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Windows does not have it
    from multiprocessing.context import ForkServerContext

# torch imports the second one when the first optimiser takes its first step: a second per run.
PRELOADED = ["isavae.studies.engines.local", "torch._dynamo"]

_hiding = threading.Lock()


def fork_server() -> "ForkServerContext":
    """The server that forks processes with torch loaded, which it begins to load now.

    It inherits that interrupts from the keyboard are blocked: one that came while it loads torch
    would end it with a traceback, and the driver that waits for it with another.

    Raises:
        ValueError: if this system cannot fork.
    """
    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods:
        raise ValueError(
            "local runs must be on a system that can fork processes (Linux, macOS); this one "
            f"({sys.platform}) can only {' or '.join(methods)}: use WSL, or the Ray engine "
            "(isavae study run --engine ray)"
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # first, for its start unblocks interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _main_hidden():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def start(
    context: "ForkServerContext", target: Callable[..., object], *arguments: Any
) -> BaseProcess:
    """Start a process that ends with this one, and imports nothing of the script that runs here.

    Args:
        context: from `fork_server`.
        target: what it calls; like the arguments, nothing that the script itself defines.
        *arguments: what it calls it with.
    """
    process = context.Process(target=target, args=arguments, daemon=True)
    with _main_hidden():
        process.start()
    return process


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide from multiprocessing which script runs while the block lasts.

    It would run the script again in every process, though nothing of it is needed there: a script
    without `if __name__ == "__main__"` would start itself over, one from standard input is no file.
    """
    main = vars(sys.modules["__main__"])
    with _hiding:
        hidden = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
        main["__spec__"] = None
        try:
            yield
        finally:
            del main["__spec__"]
            main.update(hidden)
