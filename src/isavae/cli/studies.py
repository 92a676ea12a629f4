"""`isavae study ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from tyro.conf import Positional

from isavae.cli.flag_kinds import Optionally
from isavae.cli.study_progress import LiveProgress
from isavae.cli.terminal import Side, fits, say, show, table
from isavae.cli.training import interruptible
from isavae.errors import counted
from isavae.files import atomic_write
from isavae.studies import (
    Engine,
    LocalEngine,
    Study,
    StudyDirectory,
    group_columns,
    results,
    run_study,
    summarise,
    usual_workers,
)
from isavae.studies import select as choose

if TYPE_CHECKING:
    from rich.table import Table


def run(
    file: Positional[str],
    out: str,
    data: Optionally[str] = None,
    workers: Optionally[int] = None,
    engine: Literal["local", "ray"] = "local",
    address: Optionally[str] = None,
    retry_failed: bool = False,
    track: Literal["none", "tensorboard"] = "none",
    checkpoint_seconds: float = 60.0,
) -> int:
    """Execute the missing runs of a study and resume interrupted ones.

    The command can be killed and started again, and started twice on one directory. Its exit
    code is 1 if runs failed.

    Args:
        file: A study file, or the name of one that ships with the package, such as smoke.
        out: The study directory, or an s3:// URL; for Ray one that all nodes see.
        data: Run the study on another data set, such as the published one instead of the drawn one.
        workers: Runs at a time; by default as many as the cores allow, or, for Ray, all of them.
        engine: Local processes, or tasks of a Ray cluster.
        address: Address of a running Ray cluster, such as auto; by default one is started here.
        retry_failed: Try again the runs on which an earlier call gave up.
        track: Write TensorBoard event files into the run directories.
        checkpoint_seconds: Seconds between two checkpoints of a run, the most that a kill costs.
    """
    study = Study.from_file(file)
    study = study.on_data(data) if data else study
    directory, threads = StudyDirectory.at(out), study.resources.cpus
    if engine == "ray":
        from isavae.studies import RayEngine

        runner: Engine = RayEngine(study.resources, directory.place, address, workers)
    else:
        workers = workers or usual_workers(threads)
        runner = LocalEngine(workers)
    at_a_time = f"{workers} at a time" if workers else "as many as the cluster takes"
    each = counted(threads, "thread")
    say(f"{study.name}: {counted(len(study.runs), 'run')}, {at_a_time}, {each} each")
    with interruptible() as stopped, LiveProgress() as live:
        progress = run_study(
            study, directory, runner, on_change=live, should_stop=stopped,
            retry_failed=retry_failed, track=track == "tensorboard",
            checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
    say(
        f"{progress.done:,} of {counted(progress.total, 'run')} done, "
        f"{len(progress.failed):,} failed"
    )
    if progress.stopped:
        say(f"stopped; resume with: isavae study run {file} --out {out}")
        return 130
    if progress.failed:
        say(f"why: isavae study status {out}")
    if progress.done:
        say(f"next: isavae study results {out}")
    return 1 if progress.failed else 0


def status(directory: Positional[str]) -> None:
    """Show the state of a study.

    Args:
        directory: A study directory, or its URL.
    """
    opened = StudyDirectory.at(directory)
    study = opened.study()
    states = {run.id: opened.state(run.id) for run in study.runs}
    counts = {state: list(states.values()).count(state) for state in dict.fromkeys(states.values())}
    say(f"{study.name}: {counted(len(states), 'run')}")
    for state in ("done", "running", "failed", "started", "missing"):
        if counts.get(state):
            say(f"  {state:<8}{counts[state]:>7,}")
    for name, state in states.items():
        if state == "failed":
            record = opened.record(name)
            say(f"{name} failed {record.attempts} times, last with {record.error}")


def stop(directory: Positional[str], wait: bool = True) -> None:
    """Make all drivers of a study finish the current step, checkpoint and stop.

    Args:
        directory: A study directory, or its URL.
        wait: Return only when all of them have stopped.
    """
    opened = StudyDirectory.at(directory)
    study = opened.study()
    opened.request_stop()
    if wait:
        opened.wait_until_idle([run.id for run in study.runs])
    say(f"{study.name}: stopped" if wait else f"{study.name}: stop requested")


def show_results(
    directory: Positional[str],
    scores: tuple[str, ...] = ("mig", "reconstruction"),
    csv: Optionally[Path] = None,
    parquet: Optionally[Path] = None,
    json: Optionally[Path] = None,
) -> None:
    """Show a study's scores by model, β and other varying settings; write one row per run to files.

    Args:
        directory: A study directory, or its URL.
        scores: The scores to show.
        csv: Write the table of all runs to this file; exponents are joined by spaces.
        parquet: Write that table to this file as Parquet.
        json: Write that table to this file as JSON.
    """
    runs = results(StudyDirectory.at(directory).path)
    if parquet:
        with atomic_write(parquet) as file:
            runs.write_parquet(file)
    if json:
        _write(json, runs.write_json())
    if csv:
        exponents = pl.col("exponents").list.eval(pl.element().cast(pl.String)).list.join(" ")
        _write(csv, runs.with_columns(exponents).write_csv())
    together = summarise(runs, scores)
    if fits(_drawn(together)):
        show(_drawn(together, _title(runs)))
    else:
        for score in scores:
            alone = summarise(runs, [score])
            short = {name: name.removeprefix(f"{score}_") for name in alone.columns}
            show(_drawn(alone.rename(short), f"{_title(runs)}: {score}"))


def select(
    directory: Positional[str], by: str = "representative", json: Optionally[Path] = None
) -> None:
    """Select one run per model and β.

    Args:
        directory: A study directory, or its URL.
        by: "representative" (the paper's rule, needs MIG), "udr" (needs no labels), "elbo", or
            any score, of which the highest wins.
        json: Write the rows of the selected runs to this file.
    """
    runs = results(StudyDirectory.at(directory).path)
    selected = choose(runs, by)
    if json:
        _write(json, selected.write_json())
    columns = [*group_columns(runs), "seed", "selected_by", "mig", "reconstruction", "path"]
    shown = _drawn(selected.select(columns), f"selected by {by}")
    if fits(shown):
        show(shown)
    else:  # a path that is cut off or goes over several lines is of no use
        show(_drawn(selected.select(columns[:-1]), f"selected by {by}"))
        say("", "their paths, in this order:", *selected["path"])


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def _title(runs: pl.DataFrame) -> str:
    counts = dict(runs["status"].value_counts().sort("status").iter_rows())
    return ", ".join(f"{count:,} {status}" for status, count in counts.items())


def _drawn(runs: pl.DataFrame, title: str = "") -> "Table":
    sides: dict[str, Side] = {
        name.replace("_", "\n"): "right" if kind.is_numeric() else "left"
        for name, kind in runs.schema.items()
    }
    return table(sides, ([_text(value) for value in row] for row in runs.iter_rows()), title)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
