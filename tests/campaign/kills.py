"""Commands that are killed at random moments end with the results of undisturbed ones.

`python -m tests.campaign.kills SEED SECONDS` prints one line per fault, and one in the end.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from isavae.files import is_temporary

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# Seconds after which a command that was not signalled hangs.
PATIENCE = 300.0
TRAIN = "--data dsprites16[shape=heart] --prior 2.1[2.2*2,2.2*2] --steps 200"
TRAIN += " --batch-size 32 --width 32"
STUDY = """
name: tiny
settings: {data: "dsprites16[shape=heart, scale=0]", steps: 120, batch_size: 32, width: 32}
seeds: 2
runs: [{prior: "2*4"}]
"""


class Command(NamedTuple):
    """A command that goes on where it was killed, and the files that it leaves."""

    words: Callable[[Path], list[str]]
    results: str


COMMANDS = {
    "train": Command(
        lambda out: ["train", "--out", str(out / "run"), "--resume", *TRAIN.split()],
        "run/model.safetensors",
    ),
    "study": Command(
        lambda out: ["study", "run", str(out / "s.yaml"), "--out", str(out / "s")],
        "s/runs/*/scores.json",
    ),
    "draw": Command(lambda out: ["data", "draw", "dsprites16"], "cache/*.images"),
}


def finish(command: Command, out: Path, kills: Iterator[tuple[int, float]]) -> tuple[int, str]:
    """Run a command to its end, killed as often as there are kills; return their number.

    Returns:
        How many kills hit, and what went wrong: nothing if it is empty.
    """
    environment = os.environ | {"ISAVAE_CACHE": str(out / "cache"), "OMP_NUM_THREADS": "1"}
    (out / "s.yaml").write_text(STUDY)
    hits = 0
    while True:
        number, seconds = next(kills, (0, PATIENCE))
        child = subprocess.Popen(
            [sys.executable, "-m", "isavae", *command.words(out)],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            _, errors = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            hits += 1
            os.killpg(child.pid, number or signal.SIGKILL)
            _, errors = child.communicate()
            if not number:
                return hits, "it hangs"
        else:
            if child.returncode or not number:
                return hits, errors[-300:] if child.returncode else ""
        if "Traceback" in errors:
            return hits, errors[-300:]


def digest(command: Command, out: Path) -> dict[str, str]:
    """The contents of the files that a command left, and every temporary file."""
    found = {}
    for path in sorted(out.glob(command.results)):
        found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    found |= {str(path): "left" for path in out.rglob("*") if is_temporary(path)}
    return found


def main(seed: int, seconds: float) -> int:
    """Kill commands for some time; return the number of faults."""
    seeded, faults, total, until = random.Random(seed), 0, 0, time.monotonic() + seconds
    names = list(COMMANDS)
    expected: dict[str, dict[str, str]] = {}
    while time.monotonic() < until:
        name = names[len(expected)] if len(expected) < len(names) else seeded.choice(names)
        command = COMMANDS[name]
        for disturbed in (False, True) if name not in expected else (True,):
            out = Path(tempfile.mkdtemp())
            began = time.monotonic()
            kills = [(seeded.choice(SIGNALS), seeded.uniform(0.2, 6.0)) for _ in range(4)]
            hits, error = finish(command, out, iter(kills if disturbed else ()))
            found, total = digest(command, out), total + hits
            shutil.rmtree(out)
            if not disturbed:
                expected[name] = found
            if error or found != expected[name]:
                faults += 1
                what = error or json.dumps([found, expected[name]])
                print(f"seed {seed}, {name}, {time.monotonic() - began:.0f} s: {what}", flush=True)
    print(f"seed {seed}: {total} kills, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), float(sys.argv[2]))))
