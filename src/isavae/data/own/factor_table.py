"""Factors of a user's own images from a table: each row belongs to the image that it names."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from isavae.data.factor_columns import order_of_values
from isavae.data.factor_values import check_longest, grid_of_values
from isavae.data.factors import FactorGrid
from isavae.data.own.table_process import check_texts, read_in_process
from isavae.data.own.table_text import parse_column, read_table
from isavae.data.safe_reading import as_refused_file, check

# Heads of a column of names, in lower case, letters only. Others are recognised by their entries.
NAME_HEADS = {
    *("file", "filename", "filepath", "path", "name", "id"),
    *("image", "imageid", "imagename", "imagefile", "imagepath", "img", "imgid", "imgname"),
}
# Heads of a column that may only number the rows; pandas writes one without a head, which it reads
# back as `Unnamed: 0`.
INDEX_HEADS = {"", "index", "id", "imageid", "imgid", "unnamed", "rownames"}
# Tables whose columns have types, as polars calls their formats.
TYPED: dict[str, Literal["parquet", "ipc"]] = {
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
}
# Files that hold tables in other ways.
OTHER = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".pkl", ".mat", ".h5", ".hdf5", ".npy", ".npz")
IN_ORDER = "give factors_by_order=yes if there is one row per image, in their order"


def read_factors(
    table: Path,
    count: int,
    names: Sequence[str] = (),
    by_order: bool = False,
    unknown: int | float | str | None = None,
) -> FactorGrid:
    """The factors of all images.

    A row belongs to the image that one of its entries names, by its path, its file name, or either
    without the suffix; the factors of images without a row are unknown. Images without names have
    one row each, in their order or in that of a column that counts them. Columns that only name or
    number the rows are no factors.

    Args:
        table: A text file with a header, its columns separated by commas, semicolons or tabs; or a
            Parquet or Arrow file.
        count: The number of images.
        names: Their names, where they have any.
        by_order: Whether a table without names of the images has one row per image, in their order.
        unknown: A further value that means unknown, such as -1.

    Returns:
        A partial grid whose categories are the values found: numbers, dates and ordered
        categories in their order, other text by the alphabet (see `parse_column`). Empty entries
        and texts such as "NA" are unknown.

    Raises:
        ValueError: If the table cannot be read or does not fit the images.
    """
    if table.suffix.lower() in OTHER:
        raise ValueError(
            f"Factors must be a table as text (.csv, .tsv), Parquet or Arrow, but are {table}: "
            "save them as one."
        )
    typed, orders = _read_typed(table, count)
    header, rows = read_table(table) if typed is None else (list(typed), [])
    columns = (
        [[row[k] for row in rows] for k in range(len(header))]
        if typed is None
        else [["" if v is None else str(v).strip() for v in column] for column in typed.values()]
    )
    for head, column in zip(header, columns, strict=True):
        check_longest(head, max(map(len, column), default=0))
    try:
        # One row more than there are images shows whether each is named once.
        naming = _name_columns(header, [column[: count + 1] for column in columns], names)
        images = next(iter(naming.values()), None)
        if images is None:
            images = _in_order(header, columns, count, names, by_order)
    except ValueError as error:
        raise ValueError(f"{table} must fit the images, but {error}") from None
    factors = {
        k: head
        for k, head in enumerate(header)
        if k not in naming and not (_plain(head) in INDEX_HEADS and _only_numbers(columns[k]))
    }
    if not factors or "" in factors.values():
        raise ValueError(f"{table} must have a column with a factor, each named, but has {header}.")
    row_of = {image: row for row, image in enumerate(images)}
    order = [row_of.get(image) for image in range(count)]
    values = {
        head: typed[head] if typed and _is_typed(typed[head]) else parse_column(head, columns[k])
        for k, head in factors.items()
    }
    ordered = {head: values for head, values in orders.items() if head in factors.values()}
    return grid_of_values({
        head: [None if row is None else values[head][row] for row in order]
        for head in factors.values()
    }, unknown, ordered)  # fmt: skip


def _read_typed(table: Path, count: int) -> tuple[dict[str, list] | None, dict[str, list]]:
    """The columns of a Parquet or Arrow file, and the values of those that have an order.

    Returns:
        None and nothing for files of other kinds.

    Raises:
        ValueError: If it is none, or has more rows than there are images.
    """
    kind = TYPED.get(table.suffix.lower())
    if kind is None:
        return None, {}
    with as_refused_file(table, "a Parquet table" if kind == "parquet" else "an Arrow table"):
        found = read_in_process(table, kind, most_rows=count)
    for column in found:
        check_texts(column)
    check(len(found) > 0, table, f"1 to {count:,} rows, one per image", "none")
    orders = {name: order_of_values(found, name) for name in found.columns}
    return (
        {column.name: column.to_list() for column in found},
        {name: order for name, order in orders.items() if order is not None},
    )


def _is_typed(column: list) -> bool:
    """Whether a column of such a file holds something else than text."""
    return not all(value is None or isinstance(value, str) for value in column)


def _name_columns(
    header: Sequence[str], columns: Sequence[Sequence[str]], names: Sequence[str]
) -> dict[int, list[int | None]]:
    """The images that the rows belong to, by each column that names them; empty without one.

    Numbers name images only under a head that says so: any factor may have the values 1, 2, 3.
    """
    if any(
        n is not None and not head.isdigit()
        for head, n in zip(header, _find(header, names), strict=True)
    ):
        raise ValueError(f"it begins with {header}: begin it with a header.")
    found = {}
    for k, (head, column) in enumerate(zip(header, columns, strict=True)):
        images = _find(column, names)
        share = sum(image is not None for image in images) / max(1, len(images))
        is_text = not all(entry.isdigit() for entry in column)
        is_declared = _plain(head) in NAME_HEADS and (share > 0 or is_text)
        if names and (is_declared or (is_text and share >= 0.5)):
            found[k] = images
    complete = {k: images for k, images in found.items() if not _fault(columns[k], images)}
    if found and not complete:
        k, images = next(iter(found.items()))
        fault = _fault(columns[k], images)
        if None in images and _is_ambiguous(columns[k][images.index(None)], names):
            fault = (
                f"{columns[k][images.index(None)]!r} is the name of several, told by their paths"
            )
        raise ValueError(f"{fault}: column {header[k]!r} must name images, each once.")
    declared = {k: images for k, images in complete.items() if _plain(header[k]) in NAME_HEADS}
    chosen = declared or complete
    if any(images != next(iter(chosen.values())) for images in chosen.values()):
        several = [header[k] for k in chosen]
        raise ValueError(f"its columns {several} name different images: leave one of them.")
    return chosen


def _is_ambiguous(entry: str, names: Sequence[str]) -> bool:
    """Whether several images have an entry as their file name, with or without the suffix."""
    wanted = (_spelled(entry, whole_path=False), _spelled(entry, whole_path=False, suffix=False))
    return (
        sum(
            _spelled(name, False) == wanted[0] or _spelled(name, False, False) == wanted[0]
            for name in names
        )
        > 1
    )


def _fault(column: Sequence[str], images: Sequence[int | None]) -> str:
    """Why a column does not name images; empty if it does."""
    if None in images:
        return f"{column[images.index(None)]!r} is none of them"
    return "some name comes twice" if len(set(images)) != len(images) else ""


def _in_order(
    header: Sequence[str], columns: Sequence[Sequence[str]], count: int, names: Sequence[str],
    by_order: bool,
) -> Sequence[int]:  # fmt: skip
    """The images that the rows belong to, where no row names one."""
    if names and not by_order:
        raise ValueError(
            f"it has no column with their names, such as {names[0]!r}: add one, or {IN_ORDER}."
        )
    if len(columns[0]) != count:
        raise ValueError(
            f"without names it must have a line for each of the {count} images, and has "
            f"{len(columns[0])}: add a column with the names, or the lines that are missing."
        )
    for head, column in zip(header, columns, strict=True):
        if by_order or _plain(head) not in NAME_HEADS | INDEX_HEADS or not any(column):
            continue
        numbers = [int(entry) for entry in column] if _only_numbers(column) else []
        first = min(numbers, default=-1)
        if first in (0, 1) and max(numbers) == first + count - 1:
            return [number - first for number in numbers]
        if numbers != sorted(numbers) or not numbers:
            raise ValueError(
                f"its column {head!r} does not count the {count} images, which have no names: "
                f"{IN_ORDER}."
            )
    return range(count)


def _find(entries: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """The image that each entry names, in the spelling by which most do."""
    best: list[int | None] = [None] * len(entries)
    for whole_path in (True, False):
        for suffix in (True, False):
            image_of = {_spelled(name, whole_path, suffix): k for k, name in enumerate(names)}
            if len(image_of) < len(names):  # two images have the same name in this spelling
                continue
            kept = [image_of.get(_spelled(entry, whole_path)) for entry in entries]
            found = kept if suffix else [
                image_of.get(_spelled(entry, whole_path, suffix)) if image is None else image
                for entry, image in zip(entries, kept, strict=True)
            ]  # fmt: skip
            best = max(best, found, key=lambda images: len(images) - images.count(None))
    return best


def _spelled(name: str, whole_path: bool, suffix: bool = True) -> str:
    """A name with forward slashes and composed accents, perhaps without its folders or suffix."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
    name = name if whole_path else name.rpartition("/")[2]
    return name if suffix else re.sub(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", "", name)


def _plain(head: str) -> str:
    """A head in lower case, letters only."""
    return re.sub(r"[^a-z]", "", head.lower())


def _only_numbers(column: Sequence[str]) -> bool:
    """Whether a column only numbers the rows, or is empty."""
    distinct = len(set(column)) == len(column) and all(re.fullmatch("[0-9]+", c) for c in column)
    return distinct or not any(column)
