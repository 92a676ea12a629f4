"""Studies: overhead per run, runs per hour of `small`, and the table over many run directories.

    python benchmarks/studies.py overhead [--engine ray] [--runs 20]
    python benchmarks/studies.py rate [--workers 1 2] [--steps 100]
    python benchmarks/studies.py results [--runs 10000]

The overhead of a run is the time between the ends of two runs of one step, one at a time, so from
submission to result with what the driver does between, less the time that the same runs take one
after the other in this process. The first runs, which start the server or Ray's worker process, are
left out: the local engine forks a process for every run, Ray gives them all to one. `rate` times
one run of every model of `small` cut to a few steps, subtracts what the cut runs spend on starting
and scoring, and extrapolates to 3,000 steps.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import yaml

from isavae.runs import FORMAT, RunConfig
from isavae.studies import (
    Engine,
    LocalEngine,
    Study,
    StudyDirectory,
    StudyProgress,
    plan,
    results,
    run_id,
    run_study,
)
from isavae.studies.engines import Job, run_job

DATA = "dsprites16[shape=square, scale=5, orientation=0, posX=::4, posY=::4]"
WARM_UP = 3  # runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "rate", "results"])
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=100)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="isavae-") as folder:
        if flags.what == "overhead":
            overhead(Path(folder), flags.engine, flags.runs or 20)
        elif flags.what == "rate":
            for workers in flags.workers:
                rate(Path(folder) / str(workers), workers, flags.steps)
        else:
            table(Path(folder), flags.runs or 10_000)


def overhead(folder: Path, engine: str, runs: int) -> None:
    study = Study.parse(
        yaml.safe_dump(
            {
                "name": "empty",
                "seeds": runs + WARM_UP,
                "settings": {"data": DATA, "width": 8, "steps": 1, "batch_size": 16},
                "runs": [{"prior": "normal"}],
                "resources": {"cpus": 1},
            }
        )
    )
    done_at: list[float] = []

    def note(progress: StudyProgress) -> None:
        done_at.extend([time.perf_counter()] * (progress.finished_here - len(done_at)))

    directory = StudyDirectory(folder / "study")
    run_study(study, directory, _engine(engine, study, directory), on_change=note)
    each = [later - earlier for earlier, later in pairwise(done_at[WARM_UP - 1 :])]
    alone = StudyDirectory(folder / "alone")
    alone.initialise(study)
    work = []
    for run in study.runs:
        start = time.perf_counter()
        run_job(Job(alone, run.id, run.config, 16, 1), None, lambda: False)
        work.append(time.perf_counter() - start)
    here, own = median(each), median(work[WARM_UP:])
    print(f"{engine}: a run of one step {here:.3f} s, of that work {own:.3f} s")
    print(f"overhead per run {here - own:.3f} s (target 0.2; median of {len(each)} runs)")


def _engine(name: str, study: Study, directory: StudyDirectory) -> Engine:
    if name == "local":
        return LocalEngine(1)
    from isavae.studies import RayEngine

    return RayEngine(study.resources, directory.place, workers=1)


def rate(folder: Path, workers: int, steps: int) -> None:
    """Runs per hour of `small`: measured on short runs, and as planned."""
    small = Study.from_file("small")
    values = yaml.safe_load(small.text)
    full = values["settings"]["steps"]
    threads = small.resources.cpus
    seconds = {}
    for length in (1, steps, 2 * steps):  # to warm up; the others' difference is steps alone
        values["settings"]["steps"], values["seeds"] = length, workers
        study = Study.parse(yaml.safe_dump(values))
        directory = StudyDirectory(folder / str(length))
        start = time.perf_counter()
        run_study(study, directory, LocalEngine(workers))
        seconds[length] = (time.perf_counter() - start) / len(study.runs)
    step = (seconds[2 * steps] - seconds[steps]) / steps
    hourly = 3600 / (seconds[steps] + (full - steps) * step)
    configs = [run.config for run in small.runs_by_seed()]
    foreseen = plan(configs, workers=workers, threads=threads, images=small.images)
    planned = 3600 * len(foreseen.runs) / foreseen.seconds
    print(
        f"small, {workers} at a time: {hourly:.1f} runs/h, extrapolated from {steps} and "
        f"{2 * steps} steps; `study plan` says {planned:.1f}"
    )


def table(folder: Path, runs: int) -> None:
    _write_runs(folder, runs)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        rows = len(results(folder))
        seconds.append(time.perf_counter() - start)
    first, *later = seconds
    print(
        f"results of {rows:,} runs: first {first:.2f} s (target 3), then {min(later):.2f} s (0.5)"
    )
    shutil.rmtree(folder / "runs")


def _write_runs(folder: Path, runs: int) -> None:
    """Directories as a study of table1's models leaves them, but for weights and logs."""
    chance = random.Random(0)
    templates = Study.from_file("table1").runs
    for seed in range(runs):
        config = templates[seed % len(templates)].config.model_copy(update={"seed": seed})
        path = folder / "runs" / run_id(config)
        path.mkdir(parents=True)
        written = {"version": FORMAT} | config.settings()
        (path / "config.json").write_text(json.dumps(written, indent=2))
        (path / "work.json").write_text(json.dumps({"steps": 7200, "seconds": 900.0}, indent=2))
        (path / "scores.json").write_text(json.dumps(_made_up_scores(config, chance), indent=2))


def _made_up_scores(config: RunConfig, chance: random.Random) -> dict[str, object]:
    factors = ["scale", "orientation", "posX", "posY"]
    terms = {"standard_error": 0.1, "n_images": 10_000, "subset_seed": 0}
    return {
        "data": config.data,
        "n_images": 737_280,
        "reconstruction": {"value": -chance.random()} | terms,
        "kl": {"value": chance.random()} | terms,
        "mig": {
            "value": chance.random(),
            "per_factor": {factor: chance.random() for factor in factors},
        },
        "factors": factors,
        "mutual_information": [[chance.random() for _ in range(20)] for _ in factors],
        "exponents": [2.1] + [2.2] * 5,
    }


if __name__ == "__main__":
    main()
