"""Commands that are killed and whose files are damaged end with the results of undisturbed ones.

`python -m tests.campaign.kills SEED SECONDS [COMMAND ...]` prints one line per fault, and one in
the end.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from isavae.data import import_official
from isavae.files import is_temporary
from isavae.locks import locked
from isavae.runs import Run, RunConfig, execute
from tests.campaign.forked import PATIENCE, STOPPED, Ended, command, load, run, workers
from tests.official_files import small, write_file

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# Exit codes of commands that end in order.
DONE, REFUSED = 0, 2
REFUSAL = "a damaged file is refused"
DATA = "dsprites16[shape=heart, scale=0]"
TRAIN = f"--data|{DATA}|--prior|2.1[2.2*2,2.2*2]|--steps|40|--batch-size|8|--width|4".split("|")
FIT = "--steps 80 --budget 500 --workers 1 --beta 0.1 --seeds 2 --size 16".split()
SMALL = {"batch_size": 8, "width": 4}
STUDY = f"""
name: tiny
settings: {{data: "{DATA}", steps: 30, batch_size: 8, width: 4}}
seeds: 2
runs: [{{prior: "2*2"}}]
"""
# The model of a run that is done is read, and a damaged one refused, only when it is asked for.
STUDY_RESULTS = ("made/runs/*/scores.json",)
ONE, OFTEN = ("--workers", 1), ("--checkpoint-seconds", 0.1)
PUBLISHED = "smallnorb"


class Command(NamedTuple):
    """A command that goes on where it was killed.

    Attributes:
        work: What it does in a folder with a copy of the inputs.
        results: The files that it leaves, as patterns.
        often: How often it is chosen.
    """

    work: Callable[[Path], Callable[[], object]]
    results: tuple[str, ...]
    often: int = 10


def _train(out: Path) -> Callable[[], object]:
    return command("train", "--out", out / "made", "--resume", *TRAIN)


def _checkpoints(out: Path) -> Callable[[], object]:
    """The same training with a checkpoint after every step."""

    def work() -> object:
        made = out / "made"
        parsed = RunConfig.parse({"data": DATA, "prior": "2*2", "steps": 20, **SMALL})
        resumed = any(made.glob("[!.]*"))
        trained = Run.open(made) if resumed else Run.create(made, parsed)
        return 0 if execute(trained, checkpoint_seconds=0.0) else STOPPED

    return _or_sentence(work)


def _or_sentence(work: Callable[[], object]) -> Callable[[], object]:
    """The work of the library as a command does it."""

    def with_sentence() -> object:
        try:
            return work()
        except (ValueError, OSError) as error:
            print(error, file=sys.stderr)
            return REFUSED
        except KeyboardInterrupt:
            return STOPPED

    return with_sentence


def _study(out: Path) -> Callable[[], object]:
    return command("study", "run", out / "s.yaml", "--out", out / "made", *ONE, *OFTEN)


def _ray(out: Path) -> Callable[[], object]:
    words = ("--engine", "ray", *ONE, *OFTEN)
    return command("study", "run", out / "s.yaml", "--out", out / "made", *words)


def _own_cache(out: Path, work: Callable[[], object]) -> Callable[[], object]:
    """The work with an empty cache."""

    def with_cache() -> object:
        os.environ["ISAVAE_CACHE"] = str(out / "made")
        return work()

    return with_cache


def _import(out: Path) -> Callable[[], object]:
    published = (PUBLISHED, out / "published", False, small(PUBLISHED))
    return _or_sentence(lambda: import_official(*published) and DONE)


COMMANDS = {
    "train": Command(_train, ("made/model.safetensors",), 40),
    "checkpoints": Command(_checkpoints, ("made/model.safetensors",), 30),
    "study": Command(_study, STUDY_RESULTS, 30),
    "fit": Command(
        lambda out: command("fit", out / "images", "--out", out / "made", *FIT),
        ("made/model.safetensors", "made/codes.*"),
        30,
    ),
    "draw": Command(
        lambda out: _own_cache(out, command("data", "draw", "dsprites16")), ("made/*.images",), 20
    ),
    "import": Command(lambda out: _own_cache(out, _import(out)), ("made/*.images",)),
    "evaluate": Command(lambda out: command("evaluate", out / "run"), ("run/scores.json",)),
    "export": Command(
        lambda out: command("export", out / "run", "--out", out / "made" / "e.safetensors"),
        ("made/e.safetensors",),
    ),
    "encode": Command(
        lambda out: command("encode", out / "run", out / "images", "--out", out / "made" / "c.csv"),
        ("made/c.csv",),
    ),
    "onnx": Command(
        lambda out: command("export", out / "run", "--out", out / "made", "--format", "onnx"),
        ("made/*.onnx",),
        2,
    ),
    "ray": Command(_ray, STUDY_RESULTS, 1),
}


def write_inputs(folder: Path) -> None:
    """What the commands begin with: images, a published file, a study, a trained run."""
    (folder / "images").mkdir(parents=True)
    seeded = np.random.default_rng(0)
    for number in range(24):
        pixels = np.kron(seeded.integers(0, 2, (4, 4)), np.ones((4, 4), int)) * 255
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number}.png")
    (folder / "published").mkdir()
    write_file(PUBLISHED, folder / "published")
    (folder / "s.yaml").write_text(STUDY)
    words = ("--prior", "2*2", "--steps", 20, "--width", 8, "--batch-size", 8)
    ended = run(command("train", "--out", folder / "run", "--data", folder / "images", *words))
    assert ended.code == DONE, ended.errors


def digest(chosen: Command, out: Path) -> dict[str, str]:
    """The contents of the files that a command left, and every temporary file."""
    found = {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in chosen.results
        for path in sorted(out.glob(pattern))
    }
    return found | {str(path): "left" for path in out.rglob("*") if is_temporary(path)}


def wait_for_workers(out: Path) -> None:
    """Wait until the workers of a killed driver have written their checkpoints."""
    for lock in (out / "made" / "locks").glob("*"):
        with locked(lock, wait=True):
            continue


def damage(out: Path, seeded: random.Random) -> str:
    """Cut, empty, blank, flip or remove one of the files that commands have made; tell which."""
    place = out / "made" if (out / "made").is_dir() else out / "run"
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    files = [path for path in files if path.parent.name != "locks" and not is_temporary(path)]
    if not files:
        return ""
    path = seeded.choice(files)
    content, how = path.read_bytes(), seeded.choice(("cut", "empty", "blank", "flip", "remove"))
    at = seeded.randrange(max(1, len(content)))
    flipped = content[:at] + bytes(b ^ 1 << seeded.randrange(8) for b in content[at : at + 1])
    if how == "remove":
        path.unlink()
    else:
        made = {"cut": content[:at], "empty": b"", "blank": bytes(len(content))}
        path.write_bytes(made.get(how, flipped + content[at + 1 :]))
    return f"{how} {path.relative_to(out)}"


def started(chosen: Command, out: Path, number: int = 0, after: float = PATIENCE) -> Ended:
    """Run a command; again if Ray has not started in its 30 s, as on a busy machine."""
    ended = run(chosen.work(out), number, after)
    if "Ray must start" in ended.errors:
        ended = run(chosen.work(out), number, after)
    return ended


def disturb(chosen: Command, out: Path, seconds: float, seeded: random.Random) -> tuple[int, str]:
    """Kill a command up to three times and damage a file now and then, then let it end.

    Returns:
        How many kills hit, and what went wrong: nothing if it is empty.
    """
    hits, damaged = 0, ""
    for _ in range(seeded.randrange(1, 4)):
        number = seeded.choice(SIGNALS)
        ended = started(chosen, out, number, seeded.uniform(0, seconds))
        hits += ended.signalled
        if number == signal.SIGKILL and seeded.random() < 0.5:
            for worker in workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        wait_for_workers(out)
        orderly = {DONE, STOPPED} if ended.signalled else {DONE}
        if number == signal.SIGKILL and ended.signalled:
            orderly = {DONE, -number}
        if ended.fault or (ended.code not in orderly and not damaged):
            return hits, f"{number}, exit code {ended.code}, {damaged}: {ended.errors[-600:]}"
        if not damaged and seeded.random() < 0.3:
            damaged = damage(out, seeded)
    ended = started(chosen, out)
    if damaged and ended.code == REFUSED and ended.errors.count("\n") <= 3 and not ended.fault:
        return hits, REFUSAL
    return (
        hits,
        f"{damaged}: {ended.fault or ended.errors[-600:]}" if ended.fault or ended.code else "",
    )


class Kills:
    """Kills of commands in a folder, and their results without any."""

    def __init__(self, root: Path, seeded: random.Random):
        self._seeded, self._inputs, self._out = seeded, root / "inputs", root / "out"
        self._usual: dict[str, tuple[float, dict[str, str]]] = {}
        self.hits = self.refused = 0
        write_inputs(self._inputs)

    def fault(self, name: str) -> str:
        """Disturb a command once; what went wrong, or nothing."""
        command = COMMANDS[name]
        if name not in self._usual:
            self._usual[name] = self._undisturbed(command)
        seconds, usual = self._usual[name]
        shutil.copytree(self._inputs, self._out)  # the same place each time: results name it
        hits, error = disturb(command, self._out, seconds, self._seeded)
        found = digest(command, self._out)
        shutil.rmtree(self._out)
        self.hits += hits
        if error == REFUSAL:
            self.refused += 1
            return ""
        return error or (json.dumps([found, usual]) if found != usual else "")

    def _undisturbed(self, command: Command) -> tuple[float, dict[str, str]]:
        """The seconds that a command takes, and its results."""
        shutil.copytree(self._inputs, self._out)
        ended = started(command, self._out)
        assert ended.code == DONE, ended
        usual = digest(command, self._out)
        assert usual, f"it left no {command.results}"
        shutil.rmtree(self._out)
        return ended.seconds, usual


def main(seed: int, seconds: float, names: list[str]) -> int:
    """Kill commands for some time; return the number of faults."""
    seeded, faults, counts = random.Random(seed), 0, dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"ISAVAE_CACHE": f"{root}/cache", "OMP_NUM_THREADS": "1"}
        load()
        kills = Kills(Path(root), seeded)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = seeded.choices(names, [COMMANDS[each].often for each in names])[0]
            before = kills.hits
            if fault := kills.fault(name):
                faults += 1
                print(f"seed {seed}, after {kills.hits} kills, {name}: {fault}", flush=True)
            counts[name] += kills.hits - before
    said = f"{kills.hits} kills {counts}, {kills.refused} damaged files refused"
    print(f"seed {seed}: {said}, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:] or [*COMMANDS])))
