"""A check of a GPU in parts, each of which is kept as soon as it is done."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch

import isavae
from isavae.errors import first_line
from isavae.files import atomic_write, read_json, write_json
from isavae.gpu_check.at_once import steps_per_second
from isavae.gpu_check.floor import SETTINGS, time_step
from isavae.gpu_check.marked_tests import run_marked_tests
from isavae.gpu_check.summary import summarise
from isavae.gpu_check.table_runs import finished_runs, run_table, table_study
from isavae.studies import Study, StudyDirectory, StudyProgress, available_cores
from isavae.studies.shared_data import open_shared
from isavae.training import resolve_device

StageProgress = Callable[[str, int, int], None]


@final
@dataclass(frozen=True)
class Plan:
    """What a check does.

    Attributes:
        study: The study of its runs.
        steps: Settings, objectives and precisions of the steps to time.
        rounds: Rounds of each timing.
        at_once: Numbers of runs at once to try.
        seconds: How long to try each one.
    """

    study: str
    steps: tuple[tuple[str, str, str], ...]
    rounds: int
    at_once: tuple[int, ...]
    seconds: float


FULL = Plan(
    study="table1",
    steps=(
        ("paper", "beta-vae", "auto"),
        ("paper", "beta-vae", "float32"),
        ("paper", "beta-tcvae", "auto"),
        ("paper", "factor-vae", "auto"),
        ("demo", "beta-vae", "auto"),
        ("small", "beta-vae", "auto"),
        ("small", "beta-tcvae", "auto"),
    ),
    rounds=20,
    at_once=(1, 2, 4, 8),
    seconds=4.0,
)
# For a CPU, on which a run of Table 1 takes an hour: it shows that the command works, no more.
TINY = Plan("smoke", (("tiny", "beta-vae", "float32"),), rounds=2, at_once=(1, 2), seconds=0.2)


@final
class GpuCheck:
    """A check that goes on where an earlier one in the same folder was stopped.

    The folder holds `gpu-check.json`, `gpu-check.md` and, in `runs`, a study. Both files are
    replaced atomically after every part and every run.

    Args:
        folder: The folder.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps". On a CPU all settings are tiny.

    Raises:
        ValueError: If the folder belongs to a check of another device or version.
    """

    def __init__(self, folder: Path, device: str = "auto"):
        self.folder, self.device = folder, resolve_device(device)
        self.plan = TINY if self.device.type == "cpu" else FULL
        self.parts: dict[str, Any] = {"machine": _machine(self.device)}
        if self.path.exists():
            kept = read_json(self.path)
            if kept.get("machine") != self.parts["machine"]:
                raise ValueError(
                    f"a check goes on with the device and versions it began with; {self.path} is "
                    f"of {kept.get('machine')}, this is {self.parts['machine']}: choose another "
                    "--out"
                )
            self.parts = kept

    @property
    def path(self) -> Path:
        """The file that the measurements are kept in."""
        return self.folder / "gpu-check.json"

    def measure(
        self,
        test_seconds: float,
        on_progress: StageProgress = lambda stage, done, total: None,
    ) -> None:
        """Run the tests, time the steps, and find out how many runs at once are fastest.

        Args:
            test_seconds: How long the tests may take.
            on_progress: Called with (stage, parts done, parts in all).
        """
        stages: dict[str, list[Callable[[], None]]] = {
            "tests": [partial(self._test, test_seconds)],
            "steps": [partial(self._time_step, *what) for what in self.plan.steps],
            "drawing images": [self._draw_images],
            "runs at once": [partial(self._try_at_once, count) for count in self.plan.at_once],
        }
        for stage, parts in stages.items():
            on_progress(stage, 0, len(parts))
            for done, part in enumerate(parts, 1):
                part()
                on_progress(stage, done, len(parts))

    def run(
        self,
        seconds: float,
        on_change: Callable[[StudyProgress], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Execute runs for so many seconds, as many at once as was fastest.

        Args:
            seconds: How long.
            on_change: Called with the progress, at least twice a second.
            should_stop: Polled twice a second.
        """
        begun, processes = time.monotonic(), self.fastest()
        study, directory = self._study(processes), StudyDirectory(self.folder / "runs")
        runs: dict[str, Any] = {"total": len(study.runs), "per_hour": None, "seconds": 0.0}
        runs |= {"finished": []} | self.parts.get("runs", {}) | {"processes": processes}
        finished_before, seconds_before, counted = len(runs["finished"]), runs["seconds"], -1

        def keep(shares: float) -> None:
            spent = time.monotonic() - begun
            runs["finished"] = finished_runs(study, directory)
            runs["seconds"] = round(seconds_before + spent, 1)
            finished = len(runs["finished"]) - finished_before + shares
            runs["per_hour"] = round(3600 * finished / spent, 1)
            self._keep("runs", runs)

        def note(progress: StudyProgress) -> None:
            nonlocal counted, shares
            on_change(progress)
            if not progress.stopped:
                running = {run: a / max(b, 1) for run, (a, b) in progress.running.items() if a}
                for run, share in running.items():
                    first.setdefault(run, share)
                shares = sum(running.values(), -sum(first.values(), 0.0))
                if progress.finished_here != counted:
                    counted = progress.finished_here
                    keep(shares)

        # Of unfinished runs, less what an earlier call has done of them.
        shares, first = 0.0, dict[str, float]()
        run_table(
            study, directory, processes, on_change=note,
            should_stop=lambda: should_stop() or time.monotonic() - begun > seconds,
        )  # fmt: skip
        keep(shares)

    def fastest(self) -> int:
        """The number of runs at once with the most steps per second; more only for 5 % more."""
        best, rate = 1, 0.0
        for tried in self.parts.get("at_once", []):
            if tried.get("steps_per_second", 0.0) > 1.05 * rate:
                best, rate = tried["processes"], tried["steps_per_second"]
        return best

    def _test(self, seconds: float) -> None:
        if "left_out" in self.parts.get("tests", {"left_out": ""}):
            self._keep("tests", run_marked_tests(seconds))

    def _draw_images(self) -> None:
        """Draw the images of the study, unless they are in the cache of data sets."""
        open_shared(self._study(1).runs[0].config.data)

    def _time_step(self, setting: str, objective: str, precision: str) -> None:
        what = {"setting": setting, "objective": objective, "precision": precision}
        done = self.parts.get("steps", [])
        if any(what.items() <= step.items() for step in done):
            return
        times = time_step(SETTINGS[setting], objective, precision, self.device, self.plan.rounds)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # for the processes that follow
        self._keep("steps", [*done, what | asdict(times)])

    def _try_at_once(self, processes: int) -> None:
        done = self.parts.get("at_once", [])
        tried: dict[str, Any] = {"processes": processes}
        failed = any("error" in each for each in done)
        if failed or any(tried.items() <= each.items() for each in done):
            return
        config = self._study(processes).runs[0].config
        try:
            rate = steps_per_second(config, processes, _threads(processes), self.plan.seconds)
        except (EOFError, RuntimeError) as error:  # memory: the result is that it does not fit
            tried["error"] = first_line(error)
        else:
            tried["steps_per_second"] = round(rate, 2)
        self._keep("at_once", [*done, tried])

    def _study(self, processes: int) -> Study:
        return table_study(self.plan.study, str(self.device), _threads(processes))

    def _keep(self, part: str, value: Any) -> None:
        self.parts = {**self.parts, part: value}
        write_json(self.path, self.parts)
        with atomic_write(self.path.with_suffix(".md")) as page:
            page.write(summarise(self.parts).encode())


def _threads(processes: int) -> int:
    return max(1, available_cores() // processes)


def _machine(device: torch.device) -> dict[str, Any]:
    """The device and the versions that a result depends on."""
    machine: dict[str, Any] = {
        "device": device.type,
        "name": platform.processor() or platform.machine(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "isavae": isavae.__version__,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine["name"] = properties.name
        machine["memory"] = properties.total_memory
        machine["capability"] = f"{properties.major}.{properties.minor}"
        machine["cuda"] = torch.version.cuda
    return machine
