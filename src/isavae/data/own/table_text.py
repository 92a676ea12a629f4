"""A table in a text file as columns: its encoding, separator, decimal sign and gaps are found."""

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from isavae.data.factor_values import MISSING
from isavae.data.memory import memory_limit
from isavae.files import DamagedFileError, read_at_most

SEPARATORS = ("\t", ";", ",")
# Columns of a table.
MOST_COLUMNS = 10_000
# About the memory that a table takes, as lists of its entries, for each of its bytes.
BYTES_OF_ENTRIES = 32
# What Excel writes or is told by as the first line.
SEPARATOR_LINE = re.compile(r"\Asep=[,;\t]\r?\n", re.I)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
# 1,234 may be a thousand or little more than one; 1,234.5, 1.234,5 and 1 234 are refused as well.
GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,'\u2019\s][0-9]{3})+([.,][0-9]+)?")
# Marks that stand for a number that is not known, as other programs write them.
UNKNOWN_NUMBERS = ("?", "-", "--", ".", "*", "\u2013", "\u2014")
DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
# Of these the order of day and month differs between countries.
OTHER_DATE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{4}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}|"
    r"[0-9]{4}([./])[0-9]{1,2}\2[0-9]{1,2}"
)


def read_table(table: Path) -> tuple[list[str], list[list[str]]]:
    """The header of a table, and its rows.

    Args:
        table: A text file: UTF-8, UTF-16, or else Windows-1252 (a superset of Latin-1), with a
            warning; columns are separated by tabs, semicolons or commas.

    Raises:
        ValueError: If it is not a table with a header and equally many columns in every row.
    """
    try:
        text = SEPARATOR_LINE.sub("", _decode(table))
    except UnicodeError as error:
        raise ValueError(
            f"{table} must be a CSV file with a header, but is not: {error}."
        ) from error
    except OSError as error:
        raise ValueError(
            f"{table} must be a CSV file with a header, but cannot be read: {error.strerror}."
        ) from error
    lines = _best_split(text)
    if not lines:
        raise ValueError(f"{table} must be a CSV file with a header, but has no whole line.")
    header, *rows = lines
    if len(header) > MOST_COLUMNS:
        raise ValueError(
            f"{table} must have at most {MOST_COLUMNS:,} columns, but has {len(header):,}: leave "
            "out those that are no factors."
        )
    ragged = next((k for k, row in enumerate(rows) if len(row) != len(header)), None)
    if ragged is not None:
        raise ValueError(
            f"{table} must have as many entries in every row as in its header, {len(header)}, but "
            f"row {ragged + 1} has {len(rows[ragged])}: correct it, or quote "
            "entries with separators."
        )
    counts = Counter(name for name in header if name)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(
            f"{table} must have distinct columns, but {twice!r} is the head of several: rename one."
        )
    if not rows:
        raise ValueError(f"{table} must have rows of factors, but has only a header: add them.")
    return header, rows


def _split(text: str, separator: str) -> list[list[str]]:
    """The entries of every line; none where quotes do not end at a separator."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return []
    while lines and not lines[-1]:
        lines.pop()
    return [[entry.strip() for entry in line] for line in lines]


def _best_split(text: str) -> list[list[str]]:
    """The first split into several columns, equally many in every line; else the widest header."""
    best: list[list[str]] = []
    for separator in SEPARATORS:
        if separator in text or separator == SEPARATORS[-1]:
            lines = _split(text, separator)
            if lines and len(lines[0]) > 1 and {*map(len, lines)} == {len(lines[0])}:
                return lines
            if lines and (not best or len(lines[0]) >= len(best[0])):
                best = lines
    return best


def _decode(table: Path) -> str:
    most = memory_limit() // BYTES_OF_ENTRIES
    try:
        data = read_at_most(table, most)
    except DamagedFileError:
        raise ValueError(
            f"{table} must have at most {most:,} bytes, for which there is memory, but has more: "
            "leave out columns that are no factors."
        ) from None
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return data.decode("utf-32")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\0" in data:  # UTF-16 without its mark: every second byte of Latin text is 0
        text = data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", errors="replace")
        if "\n" not in text and "\r" not in text:
            raise UnicodeError("it holds bytes that are 0, as no text does")
        return text
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.warn(
            f"{table} is not UTF-8 and is read as Windows-1252: save it as UTF-8 if names look "
            "wrong.",
            stacklevel=2,
        )
        return data.decode("cp1252")


def parse_column(name: str, entries: Sequence[str]) -> Sequence[str | int | float | date | None]:
    """A column as numbers, shares or dates, with None for gaps, if nothing else is in it.

    Else it is text, in which marks such as `?` are values. Shares keep their number: 12% is 12.

    Raises:
        ValueError: If numbers or dates in it can be read in two ways.

    Examples:
        >>> parse_column("dose", ["1,5", "NA", "2"]), parse_column("kind", ["1", "2b"])
        ([1.5, None, 2], ['1', '2b'])
        >>> parse_column("share", ["12%", "?", "7 %"]), parse_column("mark", ["+", "-"])
        ([12, None, 7], ['+', '-'])
    """
    plain = [entry.replace("\u2212", "-") for entry in entries]  # the minus sign of typesetters
    known = [e for e in plain if e.lower() not in MISSING and e not in UNKNOWN_NUMBERS]
    values = _numbers(name, known) or _dates(name, known)
    if values is None:
        _warn_of_numbers_beside_text(name, entries)
        return entries
    found = dict(zip(known, values, strict=True))
    return [found.get(entry) for entry in plain]


def _numbers(name: str, known: Sequence[str]) -> list[int | float] | None:
    """The numbers of entries; None if they are something else."""
    shares = [entry for entry in known if entry.endswith("%")]
    bare = [entry.removesuffix("%").rstrip() for entry in known]
    others = [entry for entry in bare if not NUMBER.fullmatch(entry)]
    if not all(DECIMAL_COMMA.fullmatch(entry) or GROUPED.fullmatch(entry) for entry in others):
        return None
    if shares and len(shares) < len(known):
        raise ValueError(
            f"Numbers must all be shares or none, but column {name!r} has {shares[0]!r} beside "
            "numbers without a %: write all in one way."
        )
    if others:
        decimal = all(DECIMAL_COMMA.fullmatch(entry) for entry in others)
        if not decimal or all(GROUPED.fullmatch(e) for e in others) or any("." in e for e in bare):
            raise ValueError(
                f"Numbers must have one decimal sign and no sign between thousands, but column "
                f"{name!r} has {others[0]!r}: write 1234.5."
            )
    return [_number(entry.replace(",", ".")) for entry in bare]


def _dates(name: str, known: Sequence[str]) -> list[date] | None:
    """The dates or times of entries; None if they are something else."""
    if not all(DATE.fullmatch(entry) for entry in known):
        if known and all(DATE.fullmatch(e) or OTHER_DATE.fullmatch(e) for e in known):
            other = next(entry for entry in known if not DATE.fullmatch(entry))
            raise ValueError(
                f"Dates must read like 2024-03-31, but column {name!r} has {other!r}, of which day "
                "and month are not clear: write them so, or leave the column out."
            )
        return None
    try:
        read = date if all(len(entry) == len("2024-03-31") for entry in known) else datetime
        return [read.fromisoformat(entry) for entry in known]
    except ValueError as error:
        raise ValueError(
            f"Dates must be there in the calendar, but one in column {name!r} is not ({error}): "
            "correct it, or leave it empty."
        ) from None


def _warn_of_numbers_beside_text(name: str, entries: Sequence[str]) -> None:
    """Warn of a column that was probably meant to hold numbers."""
    known = [entry for entry in entries if entry.lower() not in MISSING]
    others = [entry for entry in known if not NUMBER.fullmatch(entry)]
    if len(set(known)) - len(set(others)) > 2 * len(set(others)):
        warnings.warn(
            f"Factor {name!r} has numbers beside {others[0]!r} and is taken as text: leave unknown "
            "entries empty.",
            stacklevel=2,
        )


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)
