"""A small study, its undisturbed results, and ways to disturb it, for the tests of both engines."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isavae.studies import Study, StudyDirectory

DATA = "dsprites16[shape=square, scale=5, orientation=0, posX=::4, posY=::4]"
TEXT = f"""
name: tiny
seeds: 2
settings: {{data: "{DATA}", width: 8, steps: STEPS, batch_size: 16, precision: float32}}
runs:
- {{model: [beta-vae, isa-vae]}}
resources: {{cpus: 1}}
"""


def tiny_study(steps: int = 60, extra: str = "") -> Study:
    """Four runs of a second at most."""
    return Study.parse(TEXT.replace("STEPS", str(steps)) + extra)


def outcome(root: Path) -> dict[str, tuple[bytes, dict]]:
    """What a study leaves: the weights, to the bit, and the scores of every run."""
    return {
        path.name: (
            (path / "model.safetensors").read_bytes(),
            json.loads((path / "scores.json").read_text()),
        )
        for path in (root / "runs").iterdir()
    }


def check_tidy(root: Path, study: Study) -> None:
    """Every run done, no state, lock or torn write left behind."""
    directory = StudyDirectory(root)
    assert {directory.state(run.id) for run in study.runs} == {"done"}
    assert {path.name for path in (root / "runs").iterdir()} == {run.id for run in study.runs}
    assert not list(root.glob("runs/*/state.pt")), "a finished run keeps no state"
    assert not list(root.glob("runs/*/.*~")), "nothing half written stays"


def quiet_ray(folder: Path, cache: Path) -> dict[str, str]:
    """What Ray needs to be told by its environment. Its sockets need a short path."""
    return {
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_worker_niceness": "0",  # 15 by default: on a busy machine they would starve
        "ISAVAE_CACHE": str(cache),
    }


def note_drawings(folder: Path) -> tuple[dict[str, str], Path]:
    """The environment in which new processes note what they draw, and the file of these notes."""
    notes = folder / "notes"
    path = [str(Path(__file__).with_name("noted_drawings")), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path)), "DRAWING_NOTES": str(notes)}, notes


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of a fixed size at `path`, and a function that gives it another size."""
    path.mkdir()

    def mount(*options: str) -> int:
        command = ["mount", *options, str(path)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs") != 0:
        pytest.skip("needs root, who can mount a small tmpfs")

    def resize(size: str) -> None:
        assert mount("-o", f"remount,size={size}") == 0

    try:
        yield resize
    finally:
        subprocess.run(["umount", str(path)], check=True)


def lock_holders(root: Path) -> list[int]:
    """The processes of this machine that hold the lock of a run, as the kernel lists them."""
    inodes = {lock.stat().st_ino for lock in root.glob("locks/*-s*")}
    holders = []
    for line in Path("/proc/locks").read_text().splitlines():
        # 1: FLOCK  ADVISORY  WRITE 708 00:13:3321 0 EOF
        fields = line.split()
        kind, pid, inode = fields[1], int(fields[4]), int(fields[5].rsplit(":", 1)[1])
        if kind == "FLOCK" and inode in inodes:
            holders.append(pid)
    return holders


def start_driver(
    study: Study, root: Path, *flags: str, new_session: bool = False
) -> subprocess.Popen:
    """`isavae study run` in a process of its own."""
    file = root.with_suffix(".yaml")
    file.write_text(study.text)
    command = [sys.executable, "-m", "isavae", "study", "run", str(file), "--out", str(root)]
    return subprocess.Popen(
        [*command, "--checkpoint-seconds", "0.05", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=new_session,
    )


def workers_of(driver: int) -> list[int]:
    """The processes forked for runs by the server that a driver started."""
    children = _children()
    return [w for server in children.get(driver, []) for w in children.get(server, [])]


def children_called(parent: int, words: str) -> list[int]:
    """The children of a process with these words in their command lines."""
    lines = {child: Path(f"/proc/{child}/cmdline") for child in _children().get(parent, [])}
    return [pid for pid, line in lines.items() if line.exists() and words in line.read_text()]


def kill(pid: int) -> None:
    """SIGKILL; whoever ended by himself meanwhile is left in peace."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for(condition, seconds: float = 120.0) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    return children
