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

The directories are authoritative; what was read is kept in an index beside them (`run_index`).
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isavae.files import MOST_JSON, read_json
from isavae.runs import PRESETS, RunConfig, check_format
from isavae.runs.config import MOST_SETTINGS
from isavae.studies.tables.run_index import PLAIN, Columns, read_index, write_index

NEEDED: dict[str, Any] = (
    dict.fromkeys("run path status model data prior prior_scale objective error".split(), pl.String)
    | dict.fromkeys("beta mig reconstruction kl seconds".split(), pl.Float64)
    | dict.fromkeys("seed steps".split(), pl.Int64)
    | {"exponents": pl.List(pl.Float64)}
)
FIRST = ("run", "path", "status", "model", "data", "prior", "prior_scale", "objective", "beta")
LAST = ("exponents", "seconds", "error")
# Columns that no setting or score of the same name replaces.
OWN = ("run", "path", "status", "model", "exponents", "error", "seconds")
# Settings and scores that the runs of a study may have together.
MOST_COLUMNS = 1_000
# A directory that changed this shortly before it was read may have changed again within the same
# tick of the file system's clock: it is read again next time.
SETTLED_NS = 2_000_000_000


def results(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The table of a study's runs, or of any directory of run directories.

    Args:
        path: A study directory, or a directory whose subdirectories are runs.

    Raises:
        ValueError: If there is no such directory, or its runs have too many settings and scores.
    """
    root = Path(path)
    folder = root / "runs" if (root / "runs").is_dir() else root
    if not folder.is_dir():
        raise ValueError(f"results need a directory of runs; {root} is not a directory")
    now, changed = time.time_ns(), _change_times(folder)
    columns = read_index(root, changed)
    fresh = sorted(changed.keys() - columns.get("run", []))
    if fresh:
        columns = _joined(columns, [{"run": run} | _row(f"{folder}/{run}") for run in fresh])
        if len(columns) > MOST_COLUMNS:
            raise ValueError(
                f"the runs of a study may have {MOST_COLUMNS:,} settings and scores together; "
                f"those in {folder} have {len(columns):,}: remove the runs that isavae did not make"
            )
        settled = [
            changed[run] if now - changed[run] > SETTLED_NS else None for run in columns["run"]
        ]
        write_index(root, settled, columns)
    return _table(columns, folder)


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
    """What a run directory says of its run."""
    row: dict[str, Any] = {"status": "started"}
    try:
        settings = _read(f"{directory}/config.json", MOST_SETTINGS)
        scores = _read(f"{directory}/scores.json")
        work = _read(f"{directory}/work.json") or {}
        row |= {"error": _cell(work.get("error")), "seconds": _cell(work.get("seconds"))}
        if settings is not None:
            check_format(settings.pop("version", None), "a run directory", directory)
            row |= _settings_columns(settings)
        if scores is not None:
            row |= {"status": "done"} | _score_columns(scores)
            row["steps"] = _cell(work.get("steps")) or row.get("steps")
        elif work.get("failed"):
            row["status"] = "failed"
        elif settings is None:
            raise ValueError(f"there is no config.json in {directory}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        row |= {"status": "corrupt", "error": _text(str(error))}
    return row


def _read(path: str, most: int = MOST_JSON) -> dict[str, Any] | None:
    try:
        return read_json(path, most)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _settings_columns(settings: dict[str, Any]) -> dict[str, Any]:
    objective = settings["objective"]
    flat = {name: value for name, value in settings.items() if name != "objective"}
    parameters = {name: value for name, value in objective.items() if name != "name"}
    own = {"model": model_name(settings), "objective": objective["name"]}
    others = {name: value for name, value in (parameters | flat).items() if name not in OWN}
    return {_text(name): _cell(value) for name, value in (own | others).items()}


def _score_columns(scores: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in scores.items():
        if name == "exponents" and isinstance(value, list):
            columns[name] = [float(each) for each in value]
        elif name in OWN:
            continue
        elif isinstance(value, dict) and "value" in value:
            columns[_text(name)] = float(value["value"])
            if "standard_error" in value:
                columns[_text(f"{name}_se")] = _cell(value["standard_error"])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            columns[_text(name)] = float(value)
    return columns


def _cell(value: Any) -> Any:
    """A value as a table cell: anything but a single one becomes text."""
    if type(value) is str:
        return _text(value)
    is_long = type(value) is int and value.bit_length() > 63
    return json.dumps(value) if is_long or type(value) not in PLAIN else value


def _text(text: str) -> str:
    """A text as UTF-8 can hold it, which half of a surrogate pair in JSON is not."""
    return text.encode("utf-8", "backslashreplace").decode()


def _joined(columns: Columns, rows: list[dict[str, Any]]) -> Columns:
    """The columns with further rows, sorted by run, with a null where a row lacks a value."""
    before = [None] * len(columns.get("run", []))
    names = dict.fromkeys((*columns, *(name for row in rows for name in row)))
    joined = {n: columns.get(n, before) + [row.get(n) for row in rows] for n in names}
    runs = joined["run"]
    order = sorted(range(len(runs)), key=runs.__getitem__)
    return {name: [values[k] for k in order] for name, values in joined.items()}


def _table(columns: Columns, folder: Path) -> pl.DataFrame:
    """The columns in their documented order; the main ones are present even if all null."""
    runs = columns.get("run", [])
    columns = dict.fromkeys(NEEDED, [None] * len(runs)) | columns
    columns["run"] = [_text(run) for run in runs]
    columns["path"] = [_text(f"{folder}/{run}") for run in runs]
    settings = [name for name in RunConfig.model_fields if name in columns]
    order = [*FIRST, *settings, *(name for name in columns if name not in LAST), *LAST]
    return pl.DataFrame(
        [
            # Not strict: values of several types become the widest, which is text.
            pl.Series(name, columns[name], NEEDED.get(name), strict=False)
            for name in dict.fromkeys(order)
        ]
    )
