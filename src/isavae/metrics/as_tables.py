"""Tables of any kind (tensors, arrays, lists, DataFrames) as tensors and factor grids."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from isavae.data import FactorGrid


def as_floats(name: str, values: Any) -> Tensor:
    """Numbers as a float32 or float64 tensor on the CPU, without a copy where possible.

    Args:
        name: What the values are called in an error message.
        values: A tensor, or whatever `numpy.asarray` takes.

    Raises:
        ValueError: If the values are not numbers.
    """
    if not isinstance(values, Tensor):
        array = np.require(values, requirements=["C", "W"])  # torch needs writable arrays
        if array.dtype.kind not in "iufb":
            raise ValueError(
                f"`{name}` must hold numbers, but holds {array.dtype}: drop columns of text."
            )
        values = torch.from_numpy(array)
    values = values.detach().cpu()
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def as_grid(factors: Any) -> FactorGrid | None:
    """Labels of any kind as a grid: sorted distinct values become the classes 0, 1, ...

    Args:
        factors: A grid, a mapping from names to labels, a DataFrame, or a matrix of labels, whose
            columns become `factor_0`, `factor_1`, ...

    Raises:
        ValueError: If the factors do not all have one value per image.
    """
    if factors is None or isinstance(factors, FactorGrid):
        return factors
    found = {name: _classes(values) for name, values in _columns(factors).items()}
    lengths = {name: len(labels) for name, (_, labels) in found.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Every factor must have one value per image, but lengths are {lengths}.")
    return FactorGrid(
        names=tuple(found),
        sizes=tuple(max(1, len(classes)) for classes, _ in found.values()),
        labels=np.stack([labels for _, labels in found.values()], axis=1),
        ordered=tuple(name for name, (classes, _) in found.items() if classes.dtype.kind in "iuf"),
        categories={name: classes.tolist() for name, (classes, _) in found.items() if len(classes)},
    )


def _columns(factors: Any) -> dict[str, np.ndarray]:
    if isinstance(factors, Mapping):
        return {str(name): np.asarray(values) for name, values in factors.items()}
    if hasattr(factors, "columns"):
        return {str(name): _column(factors[name]) for name in factors.columns}
    matrix = np.asarray(factors)
    if matrix.ndim != 2:
        raise ValueError(
            f"An array of factors must have one column per factor, but has shape {matrix.shape}: "
            "pass a mapping from names to labels, or a matrix."
        )
    return {f"factor_{k}": column for k, column in enumerate(matrix.T)}


def _column(series: Any) -> np.ndarray:
    """A column of a DataFrame; pandas marks missing values in several ways."""
    if not hasattr(series, "notna"):
        return series.to_numpy()
    return series.astype(object).where(series.notna(), None).to_numpy()


def _classes(values: np.ndarray) -> tuple[np.ndarray, Int64[np.ndarray, "n"]]:
    """The distinct known values, and the class of each value; -1 where unknown."""
    labels = np.full(len(values), -1, dtype=np.int64)
    if values.dtype.kind == "O":
        known = np.array([value is not None and value == value for value in values], dtype=bool)
        plain = np.array(values[known].tolist())  # numbers, if all that are known are
        distinct, labels[known] = _classes(plain.astype(str) if plain.dtype.kind == "O" else plain)
        return distinct, labels
    if values.dtype.kind in "fM":
        known = ~np.isnan(values)
    elif values.dtype.kind == "i":
        known = values >= 0
    else:
        known = np.ones(len(values), dtype=bool)
    present = values[known] if values.dtype.kind in "iuf" else values[known].astype(str)
    distinct, labels[known] = np.unique(present, return_inverse=True)
    return distinct, labels
