"""Commands on a disk that fills at every page and every file: a sentence, then the usual result.

`python -m tests.campaign.full SEED SECONDS [COMMAND ...]` prints one line per fault, and one in the
end. It needs Linux, for it mounts a file system in memory that only it sees.
"""

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.campaign.forked import Ended, load, run
from tests.campaign.kills import COMMANDS, DONE, Command, digest, wait_for_workers, write_inputs

# What allows to mount: a name space of one's own. The variable says that this process has one.
UNSHARE, INSIDE = ("unshare", "--map-root-user", "--mount"), "ISAVAE_CAMPAIGN_INSIDE"
AMPLE = "size=1g,nr_inodes=100k"
PAGE = 4096
# Commands whose writes are those of another one, or of another program.
OTHERS = {"ray", "checkpoints"}


def main(seed: int, seconds: float, names: list[str]) -> int:
    """Fill the disk of commands for some time; return the number of faults."""
    seeded, faults, total, counts = random.Random(seed), 0, 0, dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"ISAVAE_CACHE": f"{root}/cache", "OMP_NUM_THREADS": "1"}
        load()
        write_inputs(inputs := Path(root, "inputs"))
        disk = Path(root, "disk")
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", AMPLE, "campaign", disk], check=True)
        try:
            until = time.monotonic() + seconds
            tried = {name: _limits(COMMANDS[name], inputs, disk, seeded) for name in names}
            for name in itertools.cycle(names):
                if time.monotonic() > until or not tried:
                    break
                limit, usual = next(tried[name], (None, {})) if name in tried else (None, {})
                if limit is None:
                    tried.pop(name, None)
                    continue
                total, counts[name] = total + 1, counts[name] + 1
                if fault := _fault(COMMANDS[name], inputs, disk, limit, usual):
                    faults += 1
                    print(f"seed {seed}, {name}, {limit}: {fault}", flush=True)
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)
    print(f"seed {seed}: {total} full disks {counts}, {faults} faults", flush=True)
    return faults


def _limits(
    command: Command, inputs: Path, disk: Path, seeded: random.Random
) -> Iterator[tuple[str, dict[str, str]]]:
    """Every size of the disk that is too small for a command, in any order; its usual result."""
    _refill(inputs, disk)
    before = os.statvfs(disk)
    ended = run(command.work(disk))
    assert ended.code == DONE, ended.errors
    usual, after = digest(command, disk), os.statvfs(disk)
    pages = range(_used_pages(before), _used_pages(after) + 1)
    files = range(before.f_files - before.f_ffree, after.f_files - after.f_ffree + 2)
    limits = [f"size={page * PAGE}" for page in pages] + [f"nr_inodes={n}" for n in files]
    seeded.shuffle(limits)
    yield from ((limit, usual) for limit in limits)


def _used_pages(disk: os.statvfs_result) -> int:
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // PAGE


def _fault(
    command: Command, inputs: Path, disk: Path, limit: str, usual: dict[str, str]
) -> str | None:
    """What a command does wrong on a disk of a limited size, and once it has space again."""
    _refill(inputs, disk)
    _remount(disk, limit)
    ended = run(command.work(disk))
    wait_for_workers(disk)
    if ended.fault or (ended.code != DONE and not is_sentence(ended)):
        return f"exit code {ended.code}: {ended.fault or ended.errors}"
    _remount(disk, AMPLE)
    again = run(command.work(disk))
    found = digest(command, disk)
    if again.code != DONE or found != usual:
        return f"again, exit code {again.code}: {again.fault or again.errors} {found} {usual}"
    return None


def is_sentence(ended: Ended) -> bool:
    """Whether the command says in its last line that there is no space."""
    lines = ended.errors.strip().splitlines() or [""]
    return ended.code == 2 and any(words in lines[-1] for words in ("space", "full"))


def _refill(inputs: Path, disk: Path) -> None:
    """Leave nothing but the inputs on the disk."""
    _remount(disk, AMPLE)
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(inputs, disk, dirs_exist_ok=True)


def _remount(disk: Path, limit: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{limit}", disk], check=True)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp(
            UNSHARE[0], [*UNSHARE, sys.executable, "-m", "tests.campaign.full", *sys.argv[1:]]
        )
    wanted = sys.argv[3:] or [name for name in COMMANDS if name not in OTHERS]
    sys.exit(min(1, main(int(sys.argv[1]), float(sys.argv[2]), wanted)))
