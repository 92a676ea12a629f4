"""Values of factors (numbers, text, gaps) as classes: a `FactorGrid` of what a user brings."""

from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Int64

from isavae.data.factors import FactorGrid

# Text that stands for a missing value, in any case: what pandas and R write.
MISSING = ("", "nan", "-nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null")

# Values in an order that their text may not have; periods of pandas have an `ordinal`.
IN_TIME = (date, time, timedelta, np.datetime64, np.timedelta64)
# Letters of a value that is text; arrays of text take as many for each of their values.
MOST_LETTERS = 1_000
NO_VALUES = (list, tuple, set, Mapping, np.ndarray, complex)


def grid_of_values(
    columns: Mapping[str, Sequence | np.ndarray],
    unknown: int | float | str | None = None,
    orders: Mapping[str, Sequence] | None = None,
) -> FactorGrid:
    """One class for every distinct value of a factor.

    Numbers, dates, times and durations are in their order, which scores use; text and booleans are
    by the alphabet.

    None, NaN, NaT, `pandas.NA` and the text of a missing value (`MISSING`) are unknown.

    Args:
        columns: One value per image for each factor.
        unknown: A further value that means unknown, such as -1.
        orders: The values of some factors in an order of their own, such as low, medium, high.

    Returns:
        A partial grid whose categories are the values.

    Raises:
        ValueError: If there is no factor, the factors do not all have one value per image, a number
            is infinite, or values are lists or the like.

    Examples:
        >>> grid = grid_of_values({"size": [2.5, 1, None], "kind": ["b", "a", "NA"]})
        >>> grid.labels_array().tolist(), grid.categories, grid.ordered
        ([[1, 1], [0, 0], [-1, -1]], {'size': (1, 2.5), 'kind': ('a', 'b')}, ('size',))
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if not lengths:
        raise ValueError("There must be a factor, but there is none: give a column, or no factors.")
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"Every factor must have one value per image, but the numbers of values are {lengths}."
        )
    found = {name: _classes(name, values, unknown) for name, values in columns.items()}
    orders = _natural_orders(columns) | {**(orders or {})}
    for name, order in orders.items():
        found[name] = _in_order(*found[name], order)
    return FactorGrid(
        names=tuple(found),
        sizes=tuple(max(1, len(values)) for values, _ in found.values()),
        labels=np.stack([labels for _, labels in found.values()], axis=1),
        ordered=tuple(
            name
            for name, (values, _) in found.items()
            if values.dtype.kind in "iuf" or name in orders
        ),
        categories={
            name: [_whole(value) for value in values.tolist()]
            for name, (values, _) in found.items()
            if len(values)
        },
    )


def _classes(
    name: str, values: Sequence | np.ndarray, unknown: int | float | str | None
) -> tuple[np.ndarray, Int64[np.ndarray, "n"]]:
    """The distinct known values of a factor, and the class of each value; -1 where unknown."""
    array = values if isinstance(values, np.ndarray) else _objects(values)
    if array.dtype.kind == "O":
        _check_values(name, array)
        known = np.array([_is_known(value) for value in array], dtype=bool)
        present = _plain(name, array[known].tolist())
    else:
        if array.dtype.kind == "c":
            raise ValueError(f"Values of factor {name!r} must be real numbers, but are complex.")
        known = ~np.isnan(array) if array.dtype.kind in "fM" else np.ones(len(array), dtype=bool)
        present = array[known] if array.dtype.kind in "iuf" else _as_text(name, array[known])
    if present.dtype.kind == "U":
        some = ~np.isin(np.char.lower(np.char.strip(present)), MISSING)
    else:
        some = np.ones(len(present), dtype=bool)
    if present.dtype.kind == "U" and unknown is not None:
        some &= present != str(unknown)
    elif isinstance(unknown, (int, float)):
        some &= present != unknown
    known[known], present = some, present[some]
    if present.dtype.kind == "f" and np.isinf(present).any():
        raise ValueError(
            f"Numbers of factor {name!r} must be finite, but one is not: leave it out."
        )
    labels = np.full(len(array), -1, dtype=np.int64)
    distinct, labels[known] = np.unique(present, return_inverse=True)
    return distinct, labels


def _in_order(
    distinct: np.ndarray, labels: Int64[np.ndarray, "n"], order: Sequence
) -> tuple[np.ndarray, Int64[np.ndarray, "n"]]:
    """The classes of a factor, renumbered as its values follow each other in an order."""
    places = {str(value): place for place, value in enumerate(order)}
    sorting = np.argsort([places[str(value)] for value in distinct.tolist()], kind="stable")
    ranks = np.append(np.argsort(sorting), -1)  # the last answers to class -1
    return distinct[sorting], ranks[labels]


def _check_values(name: str, values: np.ndarray) -> None:
    """Check that values are numbers, text, dates or the like.

    Raises:
        ValueError: If some value is not.
    """
    other = next((value for value in values if isinstance(value, NO_VALUES)), None)
    if other is not None:
        raise refused_kind(name, type(other).__name__)
    texts = (value for value in values if isinstance(value, (str, bytes)))
    check_longest(name, max(map(len, texts), default=0))


def refused_kind(name: str, kind: str) -> ValueError:
    """The error of a factor of which a value is a list or the like."""
    return ValueError(
        f"Values of factor {name!r} must be numbers, dates or text, but one is a {kind}: give each "
        "of its parts a column."
    )


def check_longest(name: str, longest: int) -> None:
    """Check that texts of a factor, of which this is the longest, are no longer than they may be.

    Raises:
        ValueError: If some text is.
    """
    if longest > MOST_LETTERS:
        raise ValueError(
            f"Values of factor {name!r} must have at most {MOST_LETTERS:,} characters, but one has "
            f"{longest:,}: leave the factor out, or shorten them."
        )


def _as_text(name: str, values: np.ndarray) -> np.ndarray:
    """Values as text.

    Raises:
        ValueError: If they are bytes that are none.
    """
    try:
        return values.astype(str)
    except UnicodeDecodeError:
        raise ValueError(
            f"Values of factor {name!r} must be numbers, dates or text, but one is of bytes that "
            "are no text: decode it."
        ) from None


def _plain(name: str, known: list[Any]) -> np.ndarray:
    """Values as numbers, if all of them are, else as text.

    Raises:
        ValueError: If a whole number has more than 64 bits.
    """
    if known and all(isinstance(value, (Decimal, Fraction)) for value in known):
        return np.array(known, dtype=np.float64)
    values = np.array(known)
    if values.dtype.kind == "O" and all(isinstance(value, (int, float)) for value in known):
        raise ValueError(
            f"Numbers must have at most 64 bits, but those of factor {name!r} have more: give them "
            "as text, or in another unit."
        )
    return values if values.dtype.kind in "iuf" else _as_text(name, values)


def _natural_orders(columns: Mapping[str, Sequence | np.ndarray]) -> dict[str, list]:
    """The sorted values of columns of dates, times or durations, whose text sorts in other ways.

    Raises:
        ValueError: If such values cannot be compared.
    """
    orders = {}
    for name, values in columns.items():
        known = [value for value in values if _is_known(value)]
        if not known or not all(isinstance(v, IN_TIME) or hasattr(v, "ordinal") for v in known):
            continue
        try:
            orders[name] = sorted({*known})
        except TypeError:
            raise ValueError(
                f"Dates of factor {name!r} must be of one kind, all or none with a time and its "
                "zone, but are not: convert them."
            ) from None
    return orders


def _objects(values: Sequence) -> np.ndarray:
    """A sequence as an array of its own objects: numpy would turn None and NaN into text."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _whole(value: int | float | str) -> int | float | str:
    """A float without a fraction as an int: pandas keeps whole numbers with gaps as floats."""
    return int(value) if not isinstance(value, str) and value == int(value) else value


def _is_known(value: Any) -> bool:
    """Whether a value is there: NaN and NaT differ from themselves, `pandas.NA` cannot say."""
    same = value == value
    return value is not None and isinstance(same, (bool, np.bool_)) and bool(same)
