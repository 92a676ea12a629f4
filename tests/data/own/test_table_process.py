"""Tables in formats of polars are read in a process of their own, whatever they hold."""

import io
import random
import re
import sys
from contextlib import suppress

import pytest

from isavae.data.own import table_process
from isavae.data.own.table_process import read_in_process
from isavae.data.safe_reading import RefusedFileError

pl = pytest.importorskip("polars", reason="needs polars")

FRAME = pl.DataFrame(
    {
        "image": [f"{k}.png" for k in range(40)],
        "x": range(40),
        "colour": pl.Series(["r", "g"] * 20, dtype=pl.Enum(["r", "g"])),
        "moments": [[0.5, k] for k in range(40)],
    }
)


@pytest.fixture(params=["parquet", "ipc"])
def kind(request):
    return request.param


@pytest.fixture
def table(kind, tmp_path):
    getattr(FRAME, f"write_{kind}")(tmp_path / "a [b]*.table")
    return tmp_path / "a [b]*.table"


def test_a_table_is_what_it_was_with_its_types(table, kind):
    assert read_in_process(table, kind, most_rows=40).equals(FRAME)


def test_more_rows_or_cells_than_allowed_are_not_read(table, kind):
    with pytest.raises(RefusedFileError, match="at most 39 rows, but has 40"):
        read_in_process(table, kind, most_rows=39)
    with pytest.raises(RefusedFileError, match="at most 159 cells, but has 40 rows of 4"):
        read_in_process(table, kind, most_rows=40, most_cells=159)


def test_a_package_beside_the_table_is_not_imported(table, kind, monkeypatch):
    (table.parent / "polars.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(table.parent)
    assert read_in_process(table, kind, most_rows=40).equals(FRAME)


@pytest.mark.skipif(sys.platform != "linux", reason="needs the memory limits of Linux")
def test_a_small_file_of_a_large_table_does_not_fill_the_memory(tmp_path, monkeypatch):
    zeros = pl.zeros(4_000_000, dtype=pl.Int8, eager=True)
    pl.DataFrame({"x": [zeros] * 40}).write_parquet(tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    assert len(read_in_process(tmp_path / "bomb.parquet", "parquet", 40)) == 40
    monkeypatch.setattr(table_process, "MOST_BYTES", 100_000_000)
    monkeypatch.setattr(table_process, "MOST_SECONDS", 10.0)
    # Without memory polars ends its process, or one of its threads waits for ever for another.
    with pytest.raises(ValueError, match=r"ends the process that reads it|takes more than 10 s"):
        read_in_process(tmp_path / "bomb.parquet", "parquet", 40)


def test_what_the_reader_writes_is_bounded(table, kind, monkeypatch):
    forged = "import sys; sys.stdout.buffer.write(b'99999999999 99999\\n' + bytes(3_000_000))"
    monkeypatch.setattr(table_process, "_READER", forged)
    monkeypatch.setattr(table_process, "MOST_TEXT", 1_000_000)
    with pytest.raises(RefusedFileError, match="at most 1,000,000 bytes of text, but has more"):
        read_in_process(table, kind, 40, most_cells=160)


def test_what_ends_the_reader_or_takes_too_long_is_a_sentence(table, kind, monkeypatch):
    monkeypatch.setattr(table_process, "_READER", "import os; os.abort()")
    with pytest.raises(ValueError, match="ends the process that reads it"):
        read_in_process(table, kind, 40)
    monkeypatch.setattr(table_process, "_READER", "import time; time.sleep(60)")
    monkeypatch.setattr(table_process, "MOST_SECONDS", 0.1)
    with pytest.raises(ValueError, match="more than 0 s"):
        read_in_process(table, kind, 40)


def test_a_panic_of_polars_is_an_error_of_the_file(table, kind, monkeypatch):
    reader = table_process._READER
    panic = "raise polars.exceptions.PanicException('a panic')"
    monkeypatch.setattr(table_process, "_READER", re.sub("table = getattr.*", panic, reader))
    with pytest.raises(ValueError, match=r"^a panic$"):
        read_in_process(table, kind, 40)


@pytest.mark.slow
def test_damaged_tables_are_read_or_refused(kind, tmp_path):
    seeded, file = random.Random(0), io.BytesIO()
    getattr(FRAME, f"write_{kind}")(file)
    for _ in range(100):
        data = bytearray(file.getvalue())
        for _ in range(seeded.choice([1, 2, 4])):
            at = seeded.randrange(len(data) - 8)
            data[at : at + 4] = seeded.randbytes(4)
        (tmp_path / "t").write_bytes(data)
        with suppress(ValueError):
            assert len(read_in_process(tmp_path / "t", kind, 40)) <= 40
