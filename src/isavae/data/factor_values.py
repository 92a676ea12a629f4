"""Values of factors (numbers, text, gaps) as classes: a `FactorGrid` of what a user brings."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from jaxtyping import Int64

from isavae.data.factors import FactorGrid

# Text that stands for a missing value, in any case: what pandas and R write.
MISSING = ("", "nan", "-nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null")


def grid_of_values(
    columns: Mapping[str, Sequence | np.ndarray],
    unknown: int | float | str | None = None,
    orders: Mapping[str, Sequence] | None = None,
) -> FactorGrid:
    """One class for every distinct value of a factor.

    Numbers and dates are in their order, which scores use; text and booleans are by the alphabet.

    None, NaN, NaT, `pandas.NA` and the text of a missing value (`MISSING`) are unknown.

    Args:
        columns: One value per image for each factor.
        unknown: A further value that means unknown, such as -1.
        orders: The values of some factors in an order of their own, such as low, medium, high.

    Returns:
        A partial grid whose categories are the values.

    Raises:
        ValueError: If there is no factor, the factors do not all have one value per image, or a
            number is infinite.

    Examples:
        >>> grid = grid_of_values({"size": [2.5, 1, None], "kind": ["b", "a", "NA"]})
        >>> grid.labels_array().tolist(), grid.categories, grid.ordered
        ([[1, 1], [0, 0], [-1, -1]], {'size': (1, 2.5), 'kind': ('a', 'b')}, ('size',))
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"Every factor must have one value per image, but the numbers of values are {lengths}."
        )
    found = {name: _classes(name, values, unknown) for name, values in columns.items()}
    orders = orders or {}
    for name, order in orders.items():
        found[name] = _in_order(*found[name], order)
    has_order = {name: _have_order(values) for name, values in columns.items()}
    return FactorGrid(
        names=tuple(found),
        sizes=tuple(max(1, len(values)) for values, _ in found.values()),
        labels=np.stack([labels for _, labels in found.values()], axis=1),
        ordered=tuple(
            name
            for name, (values, _) in found.items()
            if values.dtype.kind in "iuf" or has_order[name] or name in orders
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
        known = np.array([_is_known(value) for value in array], dtype=bool)
        # numbers, if all that are known are
        present = np.array(array[known].tolist())
        present = present.astype(str) if present.dtype.kind not in "iuf" else present
    else:
        known = ~np.isnan(array) if array.dtype.kind in "fM" else np.ones(len(array), dtype=bool)
        present = array[known] if array.dtype.kind in "iuf" else array[known].astype(str)
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


def _have_order(values: Sequence | np.ndarray) -> bool:
    """Whether values are dates or times, whose text sorts as they do."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return True
    known = [value for value in values if _is_known(value)]
    return bool(known) and all(isinstance(value, (date, np.datetime64)) for value in known)


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
