"""Tables of any kind (tensors, arrays, lists, DataFrames) as tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Beyond, float32 has not every whole number.
_MOST_EXACT = 1 << 24


def as_floats(name: str, values: Any) -> Tensor:
    """Numbers as a float32 or float64 tensor on the CPU, without a copy where possible.

    Args:
        name: What the values are called in an error message.
        values: A tensor, or whatever `numpy.asarray` takes.

    Raises:
        ValueError: If the values are not real numbers.
    """
    if not isinstance(values, Tensor):
        array = np.require(values, requirements=["C", "W"])  # torch needs writable arrays
        if array.dtype.kind not in "iufb":
            raise ValueError(
                f"`{name}` must hold numbers, but holds {array.dtype}: drop or convert columns "
                "of anything else."
            )
        wide = array.dtype.itemsize > 8  # an extended precision, which torch has not
        values = torch.from_numpy(array.astype(np.float64) if wide else array)
    if values.is_complex():
        raise ValueError(
            f"`{name}` must hold real numbers, but holds {values.dtype}: take their real parts."
        )
    values = values.detach().cpu()
    if values.dtype in (torch.float32, torch.float64):
        return values
    whole = not values.is_floating_point() and values.dtype != torch.bool and values.numel() > 0
    exact = not whole or values.abs().max() <= _MOST_EXACT
    return values.float() if exact else values.double()


def check_indexes(**tables: Any) -> None:
    """Check that tables of pandas have the same index: rows are matched by their order alone.

    Raises:
        ValueError: If two indexes differ, so that rows may belong to other rows.
    """
    # an index of pandas has `equals`; lists have a method `index`
    columns = {
        f"{name}[{key!r}]": column
        for name, table in tables.items()
        if isinstance(table, Mapping)
        for key, column in table.items()
    }
    indexes = {
        name: table.index
        for name, table in (tables | columns).items()
        if hasattr(getattr(table, "index", None), "equals")
    }
    if len(indexes) < 2:
        return
    (first, index), *others = indexes.items()
    for name, other in others:
        if len(other) == len(index) and not other.equals(index):
            raise ValueError(
                f"Rows of `{first}` and `{name}` must have the same index, but have "
                f"{_first_difference(index, other)}: give {name}.loc[{first}.index], or, if the "
                "rows are in the same order, reset_index(drop=True) of both."
            )


def _first_difference(index: Any, other: Any) -> str:
    """The first entries in which two indexes differ."""
    first, second = next((a, b) for a, b in zip(index, other, strict=True) if a != b)
    return f"{first!r} and {second!r} in one row"
