"""Parquet and Arrow files, read in a process of their own, which a forged one may end."""

import math
import os
import subprocess
import sys
import tempfile
import threading
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isavae.data.factor_values import check_longest, refused_kind
from isavae.data.safe_reading import check, import_extra, read_exactly

if TYPE_CHECKING:
    import polars

MOST_BYTES, MOST_SECONDS = 1 << 30, 120.0
# Cells of a table, 64 million.
MOST_CELLS = 1 << 26
# Bytes of all its texts: a file may hold one for many rows.
MOST_TEXT = 1 << 28

# Writes a line with the numbers of rows and columns, then the table as Arrow if they are allowed.
_READER = """
import sys
import polars
kind, path, most_rows, most_cells, most_bytes = *sys.argv[1:3], *map(int, sys.argv[3:])
if sys.platform == "linux":
    import resource
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + most_bytes, held + most_bytes))
try:
    table = getattr(polars, f"scan_{kind}")(path, glob=False)
    rows, columns = table.select(polars.len()).collect().item(), len(table.collect_schema())
    sys.stdout.buffer.write(b"%d %d\\n" % (rows, columns))
    if rows <= most_rows and rows * columns <= most_cells:
        table.collect().write_ipc(sys.stdout.buffer)
except BaseException as error:  # a panic of polars is no Exception
    sys.exit(" ".join(str(error).split()) or type(error).__name__)
"""


def read_in_process(
    path: Path, kind: Literal["parquet", "ipc"], most_rows: int, most_cells: int = MOST_CELLS
) -> "polars.DataFrame":
    """The table in a file, which is read and written anew by another process.

    That process has 1 GiB of memory (on Linux) and 120 s.

    Args:
        path: The file.
        kind: Its format, as polars calls it.
        most_rows: The most rows that it may have.
        most_cells: The most cells that it may have.

    Raises:
        RefusedFileError: If it has more.
        ValueError: If it cannot be read.
        ImportError: If polars is missing.
    """
    polars = import_extra("polars")
    limits = map(str, (most_rows, most_cells, MOST_BYTES))
    command = [sys.executable, "-P", "-c", _READER, kind, os.path.abspath(path), *limits]
    threads = {"POLARS_MAX_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    late: list[bool] = []
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=os.environ | threads,
        ) as process,
    ):
        timer = threading.Timer(MOST_SECONDS, lambda: (late.append(True), process.kill()))
        timer.start()
        try:
            assert process.stdout is not None  # it is a pipe
            counts = process.stdout.readline()
            most = MOST_TEXT + 8 * min(most_cells, math.prod(map(int, counts.split())))
            table = read_exactly(process.stdout, most + 1)
            process.kill() if len(table) > most else process.wait()
        finally:
            timer.cancel()
            process.kill()
        said.seek(0)
        reason = said.read().decode(errors="replace").strip().splitlines()
    if late:
        raise ValueError(f"reading it takes more than {MOST_SECONDS:.0f} s")
    check(len(table) <= most, path, f"at most {MOST_TEXT:,} bytes of text", "more")
    if process.returncode == 1:
        raise ValueError(reason[-1])
    if process.returncode:
        raise ValueError("it ends the process that reads it")
    rows, columns = map(int, counts.split())
    check(rows <= most_rows, path, f"at most {most_rows:,} rows", f"{rows:,}")
    found = f"{rows:,} rows of {columns:,}"
    check(rows * columns <= most_cells, path, f"at most {most_cells:,} cells", found)
    return polars.read_ipc(BytesIO(table))


def check_texts(column: "polars.Series") -> None:
    """Check a column before every row becomes an object: a file may hold one text for all.

    Raises:
        ValueError: If it holds lists or the like, or a text that is too long.
    """
    kind = type(column.dtype).__name__
    if column.dtype.is_nested():
        raise refused_kind(column.name, "dict" if kind == "Struct" else "list")
    if kind in ("String", "Categorical", "Enum"):
        lengths = column.cast(import_extra("polars").String).str.len_chars()
    elif kind == "Binary":
        lengths = column.bin.size()
    else:
        return
    check_longest(column.name, max(lengths.drop_nulls().to_list(), default=0))
