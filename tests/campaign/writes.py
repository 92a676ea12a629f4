"""Commands of which one write fails, each in turn: a sentence, then the usual result.

`python -m tests.campaign.writes [COMMAND ...]` prints a line per fault and per command. What fails
is the creation of a file or folder, its flushing or its renaming, in the command's process.
"""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.campaign.forked import load, run
from tests.campaign.full import OTHERS, is_sentence
from tests.campaign.kills import COMMANDS, DONE, Command, digest, wait_for_workers, write_inputs

# Events of Python's audit that write, besides `open`, by the position of their path.
WRITING = {"os.mkdir": 0, "os.rename": 1}


class Writes:
    """Counts the writes to a folder by this process, and lets one of them fail.

    Args:
        folder: The folder.
        failing: The number of the one that fails; none by default.
    """

    def __init__(self, folder: Path, failing: int = -1):
        self._folder, self._failing, self.count = os.fspath(folder), failing, 0
        sys.addaudithook(self._audit)
        self._fsync, os.fsync = os.fsync, self._flush  # pyrefly: ignore

    def _audit(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, flags = arguments[0], arguments[2]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        else:
            path, writes = arguments[WRITING.get(event, 0)] if arguments else "", event in WRITING
        if writes and isinstance(path, str | os.PathLike) and str(path).startswith(self._folder):
            self._write(str(path))

    def _flush(self, descriptor: int) -> None:
        self._write()
        self._fsync(descriptor)

    def _write(self, path: str | None = None) -> None:
        self.count += 1
        if self.count - 1 == self._failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def main(names: list[str]) -> int:
    """Let every write of some commands fail once; return the number of faults."""
    faults, counts = 0, dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"ISAVAE_CACHE": f"{root}/cache", "OMP_NUM_THREADS": "1"}
        load()
        write_inputs(inputs := Path(root, "inputs"))
        out = Path(root, "out")
        for name in names:
            usual, counts[name] = _undisturbed(COMMANDS[name], inputs, out)
            for failing in range(counts[name]):
                if fault := _fault(COMMANDS[name], inputs, out, failing, usual):
                    faults += 1
                    print(f"{name}, write {failing}: {fault}", flush=True)
            print(f"{name}: {counts[name]} failing writes", flush=True)
    print(f"{sum(counts.values())} failing writes {counts}, {faults} faults", flush=True)
    return faults


def _undisturbed(command: Command, inputs: Path, out: Path) -> tuple[dict[str, str], int]:
    """The usual result of a command, and how often it writes."""
    _refill(inputs, out)
    counted = out.with_name("count")
    ended = run(_counting(command.work(out), out, counted))
    assert ended.code == DONE, ended.errors
    return digest(command, out), int(counted.read_text())


def _counting(work: Callable[[], object], out: Path, counted: Path) -> Callable[[], object]:
    def with_count() -> object:
        writes = Writes(out)
        try:
            return work()
        finally:
            counted.write_text(str(writes.count))

    return with_count


def _fault(
    command: Command, inputs: Path, out: Path, failing: int, usual: dict[str, str]
) -> str | None:
    """What a command does wrong when one of its writes fails, and afterwards."""
    _refill(inputs, out)
    work = command.work(out)
    ended = run(lambda: (Writes(out, failing), work())[1])
    wait_for_workers(out)
    if ended.fault or (ended.code != DONE and not is_sentence(ended)):
        return f"exit code {ended.code}: {ended.fault or ended.errors}"
    again = run(work)
    found = digest(command, out)
    if again.code != DONE or found != usual:
        return f"again, exit code {again.code}: {again.fault or again.errors} {found} {usual}"
    return None


def _refill(inputs: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(inputs, out)


if __name__ == "__main__":
    wanted = sys.argv[1:] or [name for name in COMMANDS if name not in OTHERS]
    sys.exit(min(1, main(wanted)))
