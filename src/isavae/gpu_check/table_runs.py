"""As many runs of the paper's Table 1 as time allows: β = 1 first, the models in turn."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import yaml

from isavae.files import read_json
from isavae.runs import PRESETS, RunConfig
from isavae.studies import (
    LocalEngine,
    PlannedRun,
    Study,
    StudyDirectory,
    StudyProgress,
    run_study,
)
from isavae.studies.study import SHIPPED


@lru_cache(maxsize=8)
def table_study(name: str, device: str, threads: int) -> Study:
    """A shipped study on a device, its runs in the order in which they are executed.

    Args:
        name: Its name, such as table1.
        device: The device of its runs.
        threads: Threads per run.
    """
    values = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
    values["settings"] = {**values.get("settings", {}), "device": device}
    values["resources"] = {"cpus": threads}
    study = Study.parse(yaml.safe_dump(values, sort_keys=False), f"{name}.yaml")
    ordered = sorted(study.runs, key=lambda run: (strength(run.config), run.config.seed))
    return replace(study, runs=tuple(ordered))


def strength(config: RunConfig) -> float:
    """β of a run, or γ of FactorVAE."""
    objective: Any = config.objective
    return objective.gamma if objective.name == "factor-vae" else objective.beta


def run_table(
    study: Study,
    directory: StudyDirectory,
    processes: int,
    *,
    on_change: Callable[[StudyProgress], None],
    should_stop: Callable[[], bool],
) -> None:
    """Execute the missing runs in order, until they are done or should stop.

    Args:
        study: Its runs, in order.
        directory: Where they are kept; those that were interrupted go on.
        processes: Runs at a time.
        on_change: Called with the progress among runs of one β.
        should_stop: As for `run_study`.
    """
    for _, runs in groupby(study.runs, key=lambda run: strength(run.config)):
        part = replace(study, runs=tuple(runs))
        engine = LocalEngine(processes)
        progress = run_study(part, directory, engine, on_change=on_change, should_stop=should_stop)
        if progress.stopped or should_stop():
            return


def finished_runs(study: Study, directory: StudyDirectory) -> list[dict[str, Any]]:
    """The scores of the finished runs; their weights, which nobody needs, are removed."""
    rows = []
    for run in study.runs:
        if directory.is_done(run.id):
            (directory.run_path(run.id) / "model.safetensors").unlink(missing_ok=True)
            rows.append(_row(run, directory))
    return rows


def _row(run: PlannedRun, directory: StudyDirectory) -> dict[str, Any]:
    scores = read_json(directory.run_path(run.id) / "scores.json")
    record = directory.record(run.id)
    values = {name: scores.get(name, {}).get("value") for name in ("mig", "reconstruction", "kl")}
    return {
        "run": run.id,
        "model": _model_of(run.config),
        "beta": strength(run.config),
        "seed": run.config.seed,
        "steps": record.steps,
        "seconds": record.seconds,
        **values,
    }


def _model_of(config: RunConfig) -> str:
    """The preset of a run."""
    settings = (config.prior, config.learn_exponents, config.objective.name)
    names = {
        (preset["prior"], preset.get("learn_exponents", False), preset["objective"]["name"]): name
        for name, preset in PRESETS.items()
    }
    return names.get(settings, config.objective.name)
