"""Factors of a user's own images from a CSV file: any values, any gaps."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isavae.data.factors import FactorGrid

FILE_COLUMNS = ("file", "path", "filename", "image")


def read_factors(table: Path, count: int, names: Sequence[str] = ()) -> FactorGrid:
    """The factors of all images.

    Args:
        table: A CSV file with a header. With a column `file` (or path, filename, image) a row
            belongs to the image of that name, and the factors of images without a row are unknown;
            without it, there is one row per image, in their order. An empty entry is unknown.
        count: The number of images.
        names: Their names, where they have any.

    Returns:
        A partial grid whose categories are the values found: numbers in their order, other text by
        the alphabet.

    Raises:
        ValueError: If the table does not fit the images.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(
            f"{table} must be a CSV file with a header, but is not: {error}."
        ) from error
    ragged = next((k for k, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if ragged is not None or not header or len(set(header)) != len(header):
        where = "in its header" if ragged is None else f"in line {ragged}"
        raise ValueError(
            f"{table} must have as many distinct columns in every line, but not {where}."
        )
    place = next((header.index(name) for name in FILE_COLUMNS if name in header), None)
    rows = _in_order(rows, place, count, names, table, len(header))
    factors = [k for k in range(len(header)) if k != place]
    if not factors:
        raise ValueError(f"{table} must have a column with a factor, but has only {header}.")
    columns = [_classes([row[k].strip() for row in rows]) for k in factors]
    return FactorGrid(
        names=tuple(header[k].strip() for k in factors),
        sizes=tuple(max(1, len(values)) for _, values in columns),
        labels=np.stack([classes for classes, _ in columns], axis=1),
        categories={
            header[k].strip(): values
            for k, (_, values) in zip(factors, columns, strict=True)
            if values
        },
    )


def _in_order(
    rows: list[list[str]],
    place: int | None,
    count: int,
    names: Sequence[str],
    table: Path,
    width: int,
) -> list[list[str]]:
    """One row per image."""
    if place is None:
        if len(rows) != count:
            raise ValueError(
                f"{table} must have a line for each of the {count} images, or a column `file`, "
                f"but has {len(rows)} lines."
            )
        return rows
    known = {row[place].strip(): row for row in rows}
    unknown = sorted(set(known) - set(names))
    if unknown or len(known) != len(rows):
        found = f"{unknown[0]!r} is none" if unknown else "some name comes twice"
        raise ValueError(f"The files in {table} must be images, each named once, but {found}.")
    return [known.get(name, [""] * width) for name in names]


def _classes(values: list[str]) -> tuple[np.ndarray, tuple]:
    """Class of every value (-1 where empty), and what the classes stand for."""
    found = sorted({value for value in values if value})
    numbers = [number for value in found if (number := _number(value)) is not None]
    if len(numbers) == len(found):
        distinct = sorted(set(numbers))
        of_value = {value: distinct.index(n) for value, n in zip(found, numbers, strict=True)}
    else:
        distinct = found
        of_value = {value: k for k, value in enumerate(found)}
    return np.array([of_value.get(value, -1) for value in values]), tuple(distinct)


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else number
