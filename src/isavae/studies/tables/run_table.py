"""One table of the run directories of a study: one row per run.

Columns, in this order:

- `run`: the run's directory name; `path`: its directory.
- `status`: "done", "failed", "started" (begun, not finished) or "corrupt".
- `model`: the paper's name of prior and objective together: "beta-vae", "isa-vae", "isa-tcvae", …
- every setting of `RunConfig` under its name: `data`, `prior`, `prior_scale`, `n_latents`,
  `likelihood`, `network`, `width`, `steps`, `epochs`, `batch_size`, `learning_rate`, `seed`,
  `precision`, `device`, …, where `objective` is the objective's name and its parameters are columns
  of their own (`beta`, `gamma`, …; null where an objective has no such parameter). `steps` is the
  number of optimiser steps, also where `epochs` determined it, once a run is done.
- every score under its name in `scores.json`: `mig`, `reconstruction` and `kl`
  (nats) with `reconstruction_se` and `kl_se`, … ; null until the run is done.
- `exponents`: list of numbers, preorder; null for priors that have none.
- `seconds`: time spent by the process that finished the run; `error`: why it failed, one line.

The directories are authoritative. `results.json` in the study directory is an index of what was
read, with the modification time of each directory, so that the next call reads only what changed.
It is JSON, which can do nothing else when it is read: a study may come from strangers.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isavae.files import DamagedFileError, read_json, write_json
from isavae.runs import PRESETS, RunConfig, check_format

NEEDED: dict[str, Any] = (
    dict.fromkeys("run path status model data prior prior_scale objective error".split(), pl.String)
    | dict.fromkeys("beta mig reconstruction kl seconds".split(), pl.Float64)
    | dict.fromkeys("seed steps".split(), pl.Int64)
    | {"exponents": pl.List(pl.Float64)}
)
FIRST = ("run", "path", "status", "model", "data", "prior", "prior_scale", "objective", "beta")
LAST = ("exponents", "seconds", "error")
STATUSES = frozenset({"done", "failed", "started", "corrupt"})
INDEX = "results.json"
INDEX_VERSION = 5
# A larger index, of some 200,000 runs, is not read.
MOST_BYTES = 1 << 28
# A directory that changed this shortly before it was read may have changed again within the same
# tick of the file system's clock: it is read again next time.
SETTLED_NS = 2_000_000_000


def results(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The table of a study's runs, or of any directory of run directories.

    Args:
        path: A study directory, or a directory whose subdirectories are runs.

    Raises:
        ValueError: If there is no such directory.
    """
    root = Path(path)
    folder = root / "runs" if (root / "runs").is_dir() else root
    if not folder.is_dir():
        raise ValueError(f"results need a directory of runs; {root} is not a directory")
    changed = _change_times(folder)
    seen, known = _read_index(root / INDEX)
    fresh = [run for run, when in changed.items() if seen.get(run) != when]
    if not fresh and len(seen) == len(changed):
        return _tidy(known, folder)
    now = time.time_ns()
    kept = known.filter(pl.col("run").is_in(list(changed)) & ~pl.col("run").is_in(fresh))
    read = _frame([_row(f"{folder}/{run}") for run in fresh])
    table = pl.concat([kept, read], how="diagonal_relaxed").sort("run")
    settled = {run: when if now - when > SETTLED_NS else None for run, when in changed.items()}
    _write_index(root / INDEX, settled, table)
    return _tidy(table, folder)


def model_name(settings: Mapping[str, Any]) -> str:
    """The paper's name for a prior and an objective, from a run's plain settings.

    >>> model_name({"prior": "isa", "objective": {"name": "beta-vae", "beta": 3}})
    'isa-vae'
    >>> model_name({"prior": "6*20", "objective": {"name": "beta-vae", "beta": 1}})
    'beta-vae, own prior'
    """
    objective = settings["objective"]["name"]
    for name, preset in PRESETS.items():
        wanted = {key: value for key, value in preset.items() if key != "objective"}
        same = all(settings.get(key) == value for key, value in wanted.items())
        if same and preset["objective"]["name"] == objective and name != "vae":
            return name
    return f"{objective}, own prior"


def _change_times(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {
            entry.name: entry.stat().st_mtime_ns
            for entry in entries
            if entry.is_dir() and not entry.name.startswith(".")
        }


def _row(directory: str) -> dict[str, Any]:
    """The row of a run directory."""
    row: dict[str, Any] = {"run": os.path.basename(directory), "status": "started"}
    try:
        settings = _read(f"{directory}/config.json")
        scores = _read(f"{directory}/scores.json")
        work = _read(f"{directory}/work.json") or {}
        row |= {"error": work.get("error"), "seconds": work.get("seconds")}
        if settings is not None:
            check_format(settings.pop("version", None), "a run directory", directory)
            row |= _settings_columns(settings)
        if scores is not None:
            row |= {"status": "done"} | _score_columns(scores)
            row["steps"] = work.get("steps") or row.get("steps")
        elif work.get("failed"):
            row["status"] = "failed"
        elif settings is None:
            raise ValueError(f"there is no config.json in {directory}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        row |= {"status": "corrupt", "error": str(error)}
    return row


def _read(path: str) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _settings_columns(settings: dict[str, Any]) -> dict[str, Any]:
    objective = settings["objective"]
    flat = {name: _cell(value) for name, value in settings.items() if name != "objective"}
    parameters = {name: _cell(value) for name, value in objective.items() if name != "name"}
    return {"model": model_name(settings), "objective": objective["name"], **parameters, **flat}


def _cell(value: Any) -> Any:
    """A setting as a table cell: anything but a single value becomes text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value)


def _score_columns(scores: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in scores.items():
        if isinstance(value, dict) and "value" in value:
            columns[name] = float(value["value"])
            if "standard_error" in value:
                columns[f"{name}_se"] = value["standard_error"]
        elif name == "exponents" and isinstance(value, list):
            columns[name] = [float(each) for each in value]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            columns[name] = float(value)
    return columns


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a table, with a null where a row lacks a column."""
    names = dict.fromkeys(("run", *(name for row in rows for name in row)))
    return _table({name: [row.get(name) for row in rows] for name in names})


def _table(columns: Mapping[str, list[Any]]) -> pl.DataFrame:
    # Not strict: values of several types become the widest, which is text.
    return pl.DataFrame(
        [pl.Series(n, values, NEEDED.get(n), strict=False) for n, values in columns.items()]
    )


def _tidy(table: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The columns in their documented order; the main ones are present even if all null."""
    paths = pl.Series("path", [f"{folder}/{run}" for run in table["run"]], pl.String)
    table = table.with_columns(paths)
    absent = [pl.lit(None, kind).alias(n) for n, kind in NEEDED.items() if n not in table.columns]
    table = table.with_columns(absent)
    settings = [name for name in RunConfig.model_fields if name in table.columns]
    order = [*FIRST, *settings, *(name for name in table.columns if name not in LAST), *LAST]
    return table.select(list(dict.fromkeys(order)))


def _read_index(path: Path) -> tuple[dict[str, int | None], pl.DataFrame]:
    """When each run of the index changed, and the runs' rows without their paths.

    Both are empty if it is missing, too large, damaged or of another version, or holds what rows
    do not.
    """
    try:
        index = read_json(path, MOST_BYTES)
    except (OSError, DamagedFileError):
        return {}, _frame([])
    columns, changed = index.get("columns", {}), index.get("changed", ())
    if index.get("index") != INDEX_VERSION or not _are_rows(columns, changed):
        return {}, _frame([])
    return dict(zip(columns["run"], changed, strict=True)), _table(columns)


def _are_rows(columns: Any, changed: Any) -> bool:
    """Whether an index holds what it should: one cell per run and column, each of a row's types."""
    if not isinstance(columns, dict) or not isinstance(changed, list) or "run" not in columns:
        return False
    if not all(isinstance(c, list) and len(c) == len(changed) for c in columns.values()):
        return False
    if not all(_are_cells(name, cells) for name, cells in columns.items()):
        return False
    runs = columns["run"]
    return (
        all(when is None or type(when) is int for when in changed)
        and None not in runs
        and len(set(runs)) == len(runs)
        and STATUSES.issuperset(columns.get("status", [None]))
    )


def _are_cells(name: str, cells: list[Any]) -> bool:
    kinds = set(map(type, cells)) - {type(None)}
    if name == "exponents":
        numbers = {type(each) for cell in cells if type(cell) is list for each in cell}
        return kinds <= {list} and numbers <= {float}
    wanted = NEEDED.get(name)
    if wanted is not None:
        return kinds <= {{pl.String: str, pl.Int64: int, pl.Float64: float}[wanted]}
    return kinds <= {bool, int, float, str}


def _write_index(path: Path, changed: Mapping[str, int | None], table: pl.DataFrame) -> None:
    """Write the index; a directory that cannot be written is read in full each time."""
    columns = table.to_dict(as_series=False)
    times = [changed[run] for run in columns["run"]]
    try:
        write_json(
            path, {"index": INDEX_VERSION, "changed": times, "columns": columns}, indent=None
        )
    except OSError:
        return
