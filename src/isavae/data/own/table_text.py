"""A table in a text file as columns: its encoding, separator, decimal sign and gaps are found."""

import codecs
import csv
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from isavae.data.factor_values import MISSING

SEPARATORS = ("\t", ";", ",")
# What Excel writes or is told by as the first line.
SEPARATOR_LINE = re.compile(r"\Asep=[,;\t]\r?\n", re.I)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
# 1,234 may be a thousand or little more than one; 1,234.5 and 1.234,5 are refused as well.
GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,][0-9]{3})+([.,][0-9]+)?")


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
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"{table} must be a CSV file with a header, but is not: {error}."
        ) from error
    splits = [lines for separator in SEPARATORS if (lines := _split(text, separator))]
    if not splits:
        raise ValueError(f"{table} must be a CSV file with a header, but has no whole line.")
    header, *rows = _best_split(splits)
    named = [name for name in header if name]
    ragged = next((k for k, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if ragged is not None or len(set(named)) != len(named):
        where = "in its header" if ragged is None else f"in line {ragged}"
        raise ValueError(
            f"{table} must have as many distinct columns in every line, but not {where}."
        )
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


def _best_split(tables: list[list[list[str]]]) -> list[list[str]]:
    """The first split into several columns, equally many in every line; else the widest header."""
    for lines in tables:
        if len(lines[0]) > 1 and all(len(line) == len(lines[0]) for line in lines):
            return lines
    return max(reversed(tables), key=lambda lines: len(lines[0]))


def _decode(table: Path) -> str:
    data = table.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\0" in data:  # UTF-16 without its mark: every second byte of Latin text is 0
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.warn(
            f"{table} is not UTF-8 and is read as Windows-1252: save it as UTF-8 if names look "
            "wrong.",
            stacklevel=2,
        )
        return data.decode("cp1252")


def parse_column(name: str, entries: Sequence[str]) -> Sequence[str | int | float | None]:
    """A column as numbers, with None for gaps, if nothing else is in it; else as it is.

    Raises:
        ValueError: If a comma may separate thousands as well as decimals.

    Examples:
        >>> parse_column("dose", ["1,5", "NA", "2"]), parse_column("kind", ["1", "2b"])
        ([1.5, None, 2], ['1', '2b'])
    """
    signed = [entry.replace("\u2212", "-") for entry in entries]  # the minus sign of typesetters
    entries = (
        signed if all(NUMBER.fullmatch(e) or e.lower() in MISSING for e in signed) else entries
    )
    known = [entry for entry in entries if entry.lower() not in MISSING]
    others = [entry for entry in known if not NUMBER.fullmatch(entry)]
    if others and all(DECIMAL_COMMA.fullmatch(e) or GROUPED.fullmatch(e) for e in others):
        decimal = all(DECIMAL_COMMA.fullmatch(entry) for entry in others)
        if not decimal or all(GROUPED.fullmatch(e) for e in others) or any("." in e for e in known):
            raise ValueError(
                f"Numbers must have one decimal sign and no sign between thousands, but column "
                f"{name!r} has {others[0]!r}: write 1234.5."
            )
        entries, others = [entry.replace(",", ".") for entry in entries], []
    if others:
        if len(set(known)) - len(set(others)) > 2 * len(set(others)):
            warnings.warn(
                f"Factor {name!r} has numbers beside {others[0]!r} and is taken as text: leave "
                "unknown entries empty.",
                stacklevel=2,
            )
        return entries
    return [None if entry.lower() in MISSING else _number(entry) for entry in entries]


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)
