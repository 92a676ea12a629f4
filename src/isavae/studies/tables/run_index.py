"""The index of a study's runs: what was read from their directories, to read only what changed.

It is JSON, column by column, with the modification time of each run directory. It may come from a
stranger, as the directories may: it is left aside where it is not what `write_index` writes, it
names no path, and of runs it says no more than their own files can.
"""

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from isavae.files import FileTooLargeError, read_json, write_json

# The values of each column, one for each run.
Columns: TypeAlias = dict[str, list[Any]]

INDEX, INDEX_VERSION = "results-index.json", 1
# Bytes of an index, of 30,000 runs with a hundred settings and scores. A larger one is not written:
# the directories are then read each time.
MOST_BYTES = 3 << 24
# The types of values; the exponents are lists of numbers.
PLAIN = {bool, int, float, str, type(None)}
STATES = {"done", "failed", "started", "corrupt"}


def read_index(root: Path, changed: Mapping[str, int]) -> Columns:
    """The columns of the runs that have not changed since the index was written.

    Args:
        root: Where the index is.
        changed: The modification times of the run directories.

    Returns:
        Nothing if the index is missing, damaged, or of another version.
    """
    try:
        index = read_json(root / INDEX, MOST_BYTES)
    except (OSError, ValueError):
        return {}
    times, columns = index.get("changed", ()), index.get("columns", {})
    if index.get("version") != INDEX_VERSION or not _are_columns(columns, times):
        return {}
    kept = [
        k
        for k, (run, time) in enumerate(zip(columns["run"], times, strict=True))
        if time is not None and changed.get(run) == time
    ]
    if len(kept) == len(times):
        return columns
    return {name: [values[k] for k in kept] for name, values in columns.items()}


def write_index(root: Path, changed: Sequence[int | None], columns: Columns) -> None:
    """Write the index, unless it would be too large or the directory cannot be written.

    Without one the run directories are read each time.

    Args:
        root: Where the index is.
        changed: The modification times of the run directories; None for those that must be read
            again.
        columns: What was read from them.
    """
    index = {"version": INDEX_VERSION, "changed": changed, "columns": columns}
    try:
        write_json(root / INDEX, index, None, MOST_BYTES)
    except (OSError, FileTooLargeError):
        return


def _are_columns(columns: Any, times: Any) -> TypeGuard[Columns]:
    """Whether these are columns of as many values as there are times, each run once."""
    if not isinstance(columns, dict) or not isinstance(times, list) or "path" in columns:
        return False
    if any(type(values) is not list or len(values) != len(times) for values in columns.values()):
        return False
    if not all(type(run) is str for run in columns.get("run", [None])):
        return False
    plain = [values for name, values in columns.items() if name not in ("run", "exponents")]
    return (
        len({*columns["run"]}) == len(times)
        and all(map(_are_plain, plain))
        and all(map(_are_exponents, columns.get("exponents", [])))
        and _are_plain([*columns])
        and {*columns.get("status", [])} <= STATES
    )


def _are_exponents(value: Any) -> bool:
    """Whether a value is a list of numbers of 64 bits, or nothing."""
    if type(value) is not list:
        return value is None
    return {*map(type, value)} <= {int, float} and _are_plain(value)


def _are_plain(values: list[Any]) -> bool:
    """Whether values are numbers of 64 bits, text that UTF-8 can hold, or nothing."""
    kinds = {*map(type, values)}
    if not kinds <= PLAIN:
        return False
    try:
        if int in kinds:
            array("q", [value for value in values if type(value) is int])
        if str in kinds:
            "".join([value for value in values if type(value) is str]).encode()
    except (OverflowError, UnicodeEncodeError):
        return False
    return True
