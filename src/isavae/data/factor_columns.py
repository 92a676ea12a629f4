"""Factors as a user has them (mappings, DataFrames, Arrow tables, arrays) as a `FactorGrid`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from isavae.data.factor_values import grid_of_values
from isavae.data.factors import FactorGrid


def as_grid(factors: Any, unknown: int | float | str | None = None) -> FactorGrid | None:
    """Labels of any kind as a grid: sorted distinct values become the classes 0, 1, ...

    Args:
        factors: A grid, a mapping from names to labels, a DataFrame or Arrow table, or a matrix of
            labels, whose columns become `factor_0`, `factor_1`, ...
        unknown: A value that means unknown, besides None and NaN.

    Raises:
        ValueError: If the factors do not all have one value per image.
    """
    if factors is None or isinstance(factors, FactorGrid):
        return factors
    if type(factors).__name__ == "LazyFrame":  # of polars
        factors = factors.collect()
    if isinstance(factors, Tensor):
        factors = _values(factors)
    columns = _columns(factors)
    orders = {
        name: order for name in columns if (order := order_of_values(factors, name)) is not None
    }
    return grid_of_values(columns, unknown, orders)


def order_of_values(factors: Any, name: str) -> list | None:
    """The order of the values of a column: ordered categories of pandas, enums of polars."""
    try:
        column = factors[name]
    except (KeyError, TypeError, IndexError):  # a matrix, or a name that is no text
        return None
    if getattr(getattr(column, "type", None), "ordered", False):  # a dictionary of Arrow
        chunks = getattr(column, "chunks", [column])
        return chunks[0].dictionary.to_pylist()
    kind = getattr(column, "dtype", None)
    has_order = getattr(kind, "ordered", type(kind).__name__ == "Enum")
    return list(kind.categories) if has_order else None  # pyrefly: ignore[missing-attribute]


def _columns(factors: Any) -> dict[str, Sequence | np.ndarray]:
    if isinstance(factors, Mapping):
        return {str(name): _values(values) for name, values in factors.items()}
    # pandas and polars have `columns`; Arrow calls its columns' names so
    names = getattr(factors, "column_names", getattr(factors, "columns", None))
    if names is not None:
        if len({str(name) for name in names}) != len(names):
            raise ValueError(f"Factors need distinct names, but are {list(names)}: rename them.")
        return {str(name): _values(factors[name]) for name in names}
    matrix = np.asarray(factors)
    if matrix.ndim == 0:  # an object that NumPy takes for one value
        do = "call its .toarray()" if hasattr(factors, "toarray") else "read or convert it first"
        raise ValueError(
            "Factors must be a mapping from names to labels, a table, or a matrix with one column "
            f"per factor, but are a {type(factors).__name__}: {do}."
        )
    if matrix.ndim != 2:
        raise ValueError(
            f"An array of factors must have one column per factor, but has shape {matrix.shape}: "
            "pass a mapping from names to labels, or a matrix."
        )
    return {f"factor_{k}": column for k, column in enumerate(matrix.T)}


def _values(column: Any) -> Sequence | np.ndarray:
    """A column as an array or a list; columns of tables mark gaps in their own ways."""
    if isinstance(column, Tensor):
        return column.detach().cpu().numpy()
    for to_list in ("to_list", "to_pylist"):  # pandas and polars; Arrow
        if hasattr(column, to_list):
            return getattr(column, to_list)()
    if isinstance(column, np.ma.MaskedArray):
        return column.tolist()  # None where masked
    return column if isinstance(column, np.ndarray) else list(column)
