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

The directories are authoritative. `results.arrow` in the study directory is an index of what was
read, with the modification time of each directory, so that the next call reads only what changed.
"""

import json
import os
import stat
import time
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from isavae.files import atomic_write, parse_json, read_whole
from isavae.runs import PRESETS, RunConfig, check_format

NEEDED: dict[str, Any] = (
    dict.fromkeys("run path status model data prior prior_scale objective error".split(), pl.String)
    | dict.fromkeys("beta mig reconstruction kl seconds".split(), pl.Float64)
    | dict.fromkeys("seed steps".split(), pl.Int64)
    | {"exponents": pl.List(pl.Float64)}
)
FIRST = ("run", "path", "status", "model", "data", "prior", "prior_scale", "objective", "beta")
LAST = ("exponents", "seconds", "error")
INDEX = "results.arrow"
# Opens a pipe without waiting for it; Windows has neither.
NO_WAITING = getattr(os, "O_NONBLOCK", 0)
INDEX_VERSION = "4"
# The checksum of the index, in a file of its own, for the index is a plain Arrow file.
INDEX_CRC = "results.arrow.crc32"
# Columns of the index only: the version and folder that a row is valid for, and the modification
# time of its run directory.
INDEX_COLUMNS = {"index": pl.String, "changed": pl.Int64}
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
    marker = f"{INDEX_VERSION} {folder}"
    known = _read_index(root / INDEX, marker)
    seen = dict(zip(known["run"], known["changed"], strict=True))
    fresh = [run for run, when in changed.items() if seen.get(run) != when]
    if not fresh and len(seen) == len(changed):
        return _tidy(known)
    kept = known.filter(pl.col("run").is_in(list(changed)) & ~pl.col("run").is_in(fresh))
    now = time.time_ns()
    rows = [
        {
            "index": marker,
            "changed": changed[run] if now - changed[run] > SETTLED_NS else None,
            **_row(f"{folder}/{run}"),
        }
        for run in fresh
    ]
    table = pl.concat([kept, _frame(rows)], how="diagonal_relaxed").sort("run")
    _write_index(root / INDEX, table)
    return _tidy(table)


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
    row: dict[str, Any] = {
        "run": os.path.basename(directory),
        "path": directory,
        "status": "started",
    }
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        row |= {"status": "corrupt", "error": str(error)}
    return row


def _read(path: str) -> dict[str, Any] | None:
    """The content of a small JSON file; a buffered file and `json` take twice as long."""
    try:
        file = os.open(path, os.O_RDONLY | NO_WAITING)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} must be a regular file, but is none")
            return parse_json(os.read(file, status.st_size), path)
        finally:
            os.close(file)
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
    types = INDEX_COLUMNS | NEEDED
    names = dict.fromkeys(("run", *INDEX_COLUMNS, *(name for row in rows for name in row)))
    return pl.DataFrame(
        [
            # Not strict: values of several types become the widest, which is text.
            pl.Series(name, [row.get(name) for row in rows], types.get(name), strict=False)
            for name in names
        ]
    )


def _tidy(table: pl.DataFrame) -> pl.DataFrame:
    """The columns in their documented order; the main ones are present even if all null."""
    absent = [pl.lit(None, kind).alias(n) for n, kind in NEEDED.items() if n not in table.columns]
    table = table.with_columns(absent).drop(INDEX_COLUMNS)
    settings = [name for name in RunConfig.model_fields if name in table.columns]
    order = [*FIRST, *settings, *(name for name in table.columns if name not in LAST), *LAST]
    return table.select(list(dict.fromkeys(order)))


def _read_index(path: Path, marker: str) -> pl.DataFrame:
    """The index; empty if it is missing or damaged, or is of another version or folder."""
    try:
        data = read_whole(path)
        if read_whole(path.with_name(INDEX_CRC)) != b"%08x" % zlib.crc32(data):
            return _frame([])
        table = pl.read_ipc(data)
    except (OSError, pl.exceptions.PolarsError):
        return _frame([])
    is_ours = "index" in table.columns and (table["index"] == marker).all()
    return table if is_ours else _frame([])


def _write_index(path: Path, table: pl.DataFrame) -> None:
    """Write the index; a directory that cannot be written is read in full each time."""
    try:
        data = BytesIO()
        table.write_ipc(data)
        with atomic_write(path) as file:
            file.write(data.getbuffer())
        with atomic_write(path.with_name(INDEX_CRC)) as file:
            file.write(b"%08x" % zlib.crc32(data.getbuffer()))
    except OSError:
        return
