"""Start processes by forking a server that has loaded torch."""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # Windows does not have it
    from multiprocessing.context import ForkServerContext

# torch imports the second module at the first optimiser step, which takes a second per run.
PRELOADED = ["isavae.studies.engines.local", "torch._dynamo"]

T = TypeVar("T")

_hiding = threading.Lock()


def fork_server() -> "ForkServerContext":
    """Start the server that loads torch and forks processes.

    What asks to stop is blocked in it and in the processes that it forks: the driver, which is
    asked too, tells them. An interrupt during the import of torch would end the server, and the
    driver that waits for it, with a traceback each.

    Raises:
        ValueError: If this system cannot fork.
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
    stopping = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    resource_tracker.ensure_running()  # first, for its start unblocks interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    try:
        with _main_hidden():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def start(
    context: "ForkServerContext", target: Callable[..., object], *arguments: Any
) -> BaseProcess:
    """Start a process that ends with this one and does not import the main script.

    Args:
        context: The result of `fork_server`.
        target: The function to call; like its arguments, not defined in the main script.
        *arguments: Its arguments.
    """
    process = context.Process(target=target, args=arguments, daemon=True)
    with _main_hidden():
        process.start()
    return process


def results_of(count: int, target: Callable[..., T], *arguments: Any) -> list[T]:
    """What a function returns in each of `count` processes that run at once.

    Unlike a pool it needs no semaphores, which some containers lack.

    Args:
        count: The number of processes.
        target: The function, as for `start`.
        *arguments: Its arguments.

    Raises:
        EOFError: If a process is killed.
        Exception: What the function raises.
    """
    context, running = fork_server(), {}
    for _ in range(count):
        ours, theirs = context.Pipe(duplex=False)
        running[ours] = start(context, _send_result, theirs, target, *arguments)
        theirs.close()
    try:
        found = [pipe.recv() for pipe in running]
    finally:
        for process in running.values():
            process.kill()
            process.join()
    if error := next((each for each in found if isinstance(each, Exception)), None):
        raise error
    return found


def _send_result(pipe: Connection, target: Callable[..., object], *arguments: Any) -> None:
    """Send what a function returns or raises, if the receiver still lives."""
    try:
        answer = target(*arguments)
    except Exception as error:
        answer = error
    with suppress(OSError):
        pipe.send(answer)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide the main script from multiprocessing for the duration of the block.

    Otherwise every process would execute the script again: a script without
    `if __name__ == "__main__"` would recurse, and a script from standard input is not a file.
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
