"""Work in processes forked from one that has loaded everything, so that each starts in no time."""

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing import forkserver, util
from pathlib import Path
from typing import NamedTuple

import isavae
from isavae.cli.command_line import VERBS, main
from isavae.studies.forking import fork_server
from tests.campaign.effort import Effort

# Seconds after which work hangs, or after which it does once signalled, and bytes that it may take.
PATIENCE, MOST_BYTES = 120.0, 2 << 30
# The exit codes of work that ended with an error that is no sentence, and that was interrupted.
CRASHED, STOPPED = 70, 130
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PACKAGE = Path(isavae.__file__).parent


class Ended(NamedTuple):
    """How work ended: its exit code, negative for a signal, and what went wrong."""

    code: int
    signalled: bool
    errors: str
    seconds: float
    fault: str


def load() -> None:
    """Load the modules of all commands, and the server from which studies fork their workers."""
    for verb in VERBS.values():
        import_module(f"isavae.cli.{verb.function.split(':')[0]}")
    for name in ("torch._dynamo", "h5py", "polars"):
        import_module(name)
    fork_server()


def command(*words: object) -> Callable[[], int]:
    """A command of `isavae`, as work."""
    return lambda: main([*map(str, words)])


def run(work: Callable[[], object], number: int = 0, after: float = PATIENCE) -> Ended:
    """Do work in a process of its own.

    Args:
        work: What is to be done; an integer that it returns is the exit code.
        number: A signal to send, if any.
        after: Seconds after which it is sent.
    """
    fork_server()  # anew, if a kill between two messages to it has ended it
    with tempfile.TemporaryFile() as said:
        began, signalled, hangs = time.monotonic(), False, False
        # Until the child says what they do there.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        child = os.fork()
        if not child:
            _do(work, said.fileno())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        effort = Effort(partial(_cpu_seconds, child))
        while True:
            ended, status, usage = os.wait4(child, os.WNOHANG)
            seconds = time.monotonic() - began
            if ended:
                break
            if number and seconds > after and not signalled:
                signalled, effort = True, Effort(partial(_cpu_seconds, child))
                os.kill(child, number)
            if effort.hangs(PATIENCE):
                hangs = True
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        said.seek(0)
        errors = said.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    fault = ""
    if hangs:
        fault = "it hangs"
    elif code == CRASHED or "Traceback" in errors:
        fault = errors[-600:]
    elif usage.ru_maxrss << 10 > MOST_BYTES:
        fault = f"{usage.ru_maxrss << 10:,} bytes of memory"
    return Ended(code, signalled, errors, seconds, fault)


def _do(work: Callable[[], object], said: int) -> None:
    """Do the work of a child and end it."""
    code = CRASHED
    try:
        os.setsid()
        for number in STOPPING:  # a shell may ignore them, as `nohup` does
            signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.dup2(said, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # The server of the parent serves the children too, which may not wait for it.
        forkserver.ensure_running = lambda: None
        forkserver._forkserver.ensure_running = lambda: None  # pyrefly: ignore
        answer = work()
        code = answer if isinstance(answer, int) else 0
        util._exit_function()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not _is_of_package(error):
            code = STOPPED
        else:
            traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _is_of_package(error: BaseException) -> bool:
    """Whether an error has passed through the package: before, a signal meets this file only."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).is_relative_to(PACKAGE) for frame in frames)


def _cpu_seconds(child: int) -> float:
    """The CPU time of a child, of the workers of studies, and of what they have waited for."""
    server = forkserver._forkserver._forkserver_pid  # pyrefly: ignore
    ticks = 0
    for process in {child, server, *workers()}:
        with suppress(OSError):
            ticks += sum(map(int, _stat(Path(f"/proc/{process}"))[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(folder: Path) -> list[str]:
    """What /proc says of a process, from its state on."""
    return (folder / "stat").read_text().rsplit(") ", 1)[1].split()


def workers() -> list[int]:
    """The processes of studies that run now."""
    server = str(forkserver._forkserver._forkserver_pid)  # pyrefly: ignore
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if _stat(folder)[1] == server:
                found.append(int(folder.name))
    return found


def limit_files(count: int) -> None:
    """Let this process open so many files at a time."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
