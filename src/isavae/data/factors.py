"""`FactorGrid`: which class of which factor every image of a data set shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from isavae.data.classes import Choice, checked_labels, chosen_classes, renumber
from isavae.errors import counted

MAX_GROUPS = 4  # an unordered factor of more classes would crowd a figure with lines


@final
@dataclass(frozen=True, eq=False)
class FactorGrid:
    """Names and sizes of the factors, and the class of each factor for every row (image).

    Without `labels` the grid is complete and row-major: every combination of classes once, the
    last factor fastest. With `labels` any rows are allowed: some combinations absent, others
    repeated, single entries unknown.

    Args:
        names: The factors.
        sizes: How many classes each factor has.
        labels: Integer classes, shape (rows, factors); -1 where a class is unknown.
        scored: The factors that scores average over; by default all with more than one class.
        ordered: The factors whose classes have an order; by default all without text categories.
        categories: What the classes of a factor are called, for any of the factors.

    Raises:
        ValueError: If names, sizes, labels, scored, ordered and categories do not fit together.

    Examples:
        >>> grid = FactorGrid(("shape", "x"), (2, 3), categories={"shape": ("square", "heart")})
        >>> len(grid), grid.values(4), grid.index((1, 1))
        (6, (1, 1), 4)
        >>> grid.column("x")
        array([0, 1, 2, 0, 1, 2])
        >>> rows, hearts = grid.select(shape="heart", x=slice(None, None, 2))
        >>> rows, hearts.sizes
        (array([3, 5]), (1, 2))
    """

    names: Sequence[str]
    sizes: Sequence[int]
    labels: np.ndarray | None = None
    scored: Sequence[str] | None = None
    ordered: Sequence[str] | None = None
    categories: Mapping[str, Sequence] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names, sizes = tuple(self.names), tuple(int(size) for size in self.sizes)
        categories = {name: tuple(values) for name, values in self.categories.items()}
        if len(names) != len(sizes) or len(set(names)) != len(names) or min(sizes, default=0) < 1:
            raise ValueError(
                "Factors need distinct names and one positive size each, "
                f"but names are {names} and sizes {sizes}: give as many sizes as names."
            )
        scored = self.scored
        if scored is None:
            scored = [name for name, size in zip(names, sizes, strict=True) if size > 1]
        ordered = self.ordered
        if ordered is None:
            ordered = [
                n for n in names if not any(isinstance(v, str) for v in categories.get(n, ()))
            ]
        for what, some in (("scored", scored), ("ordered", ordered), ("categories", categories)):
            if unknown := [name for name in some if name not in names]:
                raise ValueError(f"`{what}` must name factors of {names}, but names {unknown}.")
        for name, values in categories.items():
            size = sizes[names.index(name)]
            if not len(values) == len(set(values)) == size:
                raise ValueError(
                    f"Factor {name!r} needs {size} distinct category names, but got {values!r}."
                )
            if any(isinstance(value, float) and not math.isfinite(value) for value in values):
                raise ValueError(
                    f"Categories of factor {name!r} must be finite numbers or text, but are "
                    f"{values!r}: mark unknown classes by -1 in the labels."
                )
        labels = None if self.labels is None else checked_labels(self.labels, names, sizes)
        resolved = {
            "names": names,
            "sizes": sizes,
            "labels": labels,
            "scored": tuple(scored),
            "ordered": tuple(ordered),
            "categories": categories,
        }
        for key, value in resolved.items():
            object.__setattr__(self, key, value)

    def __len__(self) -> int:
        return math.prod(self.sizes) if self.labels is None else len(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FactorGrid):
            return NotImplemented
        keys = ("names", "sizes", "scored", "ordered", "categories", "is_complete")
        if any(getattr(self, key) != getattr(other, key) for key in keys):
            return False
        return self.is_complete or np.array_equal(self.labels_array(), other.labels_array())

    __hash__ = None  # ty: labels are an array

    @property
    def is_complete(self) -> bool:
        """Whether the rows are every combination of classes once, in row-major order."""
        return self.labels is None

    def position(self, factor: str | int) -> int:
        """Position of a factor given by its name (or its position).

        Raises:
            ValueError: If there is no such factor.
        """
        if isinstance(factor, str) and factor in self.names:
            return self.names.index(factor)
        if isinstance(factor, int) and 0 <= factor < len(self.names):
            return factor
        raise ValueError(f"The factor must be one of {self.names}, but is {factor!r}.")

    def column(self, factor: str | int) -> np.ndarray:
        """Class of one factor for every row, int64, -1 where unknown."""
        k = self.position(factor)
        if self.labels is not None:
            return self.labels[:, k].astype(np.int64)
        before, after = math.prod(self.sizes[:k]), math.prod(self.sizes[k + 1 :])
        return np.tile(np.repeat(np.arange(self.sizes[k]), after), before)

    def labels_array(self) -> np.ndarray:
        """Classes of all factors for every row: int64, shape (rows, factors), -1 where unknown."""
        return np.stack([self.column(k) for k in range(len(self.names))], axis=1)

    def values(self, index: int) -> tuple[int, ...]:
        """Classes of one row, in the order of `names`.

        Raises:
            IndexError: If there is no such row.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"The row must be in 0..{len(self) - 1}, but is {index}.")
        row = np.unravel_index(index, self.sizes) if self.labels is None else self.labels[index]
        return tuple(int(value) for value in row)

    def index(self, values: Sequence[int]) -> int:
        """The (first) row that shows these classes.

        Raises:
            ValueError: If no row does.
        """
        values = tuple(int(value) for value in values)
        inside = len(values) == len(self.sizes) and all(
            0 <= value < size for value, size in zip(values, self.sizes, strict=True)
        )
        if inside and self.labels is None:
            return int(np.ravel_multi_index(values, self.sizes))
        rows = np.flatnonzero((self.labels_array() == values).all(axis=1)) if inside else ()
        if len(rows) == 0:
            raise ValueError(f"No row shows {dict(zip(self.names, values, strict=False))}.")
        return int(rows[0])

    def classes(self, factor: str | int, choice: Choice) -> np.ndarray:
        """Classes of a factor that a choice means: a class, a category, a slice, or several.

        Args:
            factor: The name or position of a factor.
            choice: The classes.

        Raises:
            ValueError: If the choice names no class of this factor.

        Examples:
            >>> FactorGrid(("x",), (6,)).classes("x", slice(None, None, 2))
            array([0, 2, 4])
        """
        name = self.names[self.position(factor)]
        size = self.sizes[self.position(factor)]
        return chosen_classes(choice, name, size, self.categories.get(name, ()))

    def select(self, **choices: Choice) -> tuple[np.ndarray, "FactorGrid"]:
        """Rows that show the chosen classes, and their grid.

        Args:
            **choices: For each factor to restrict: a class, a category's name, a slice, or a
                sequence of classes or names. Classes are renumbered in the order chosen; a factor
                with one class left stays, with size 1.

        Returns:
            The rows, and the grid that describes exactly those rows.
        """
        restricted = [self.position(factor) for factor in choices]
        kept = {name: self.classes(name, choices.get(name, slice(None))) for name in self.names}
        if self.labels is None:
            rows = np.ravel_multi_index(np.ix_(*kept.values()), self.sizes).ravel()
            labels = None
        else:
            columns = zip(self.labels.T, kept.values(), self.sizes, strict=True)
            renumbered = np.stack([renumber(*column) for column in columns], axis=1)
            rows = np.flatnonzero((renumbered[:, restricted] >= 0).all(axis=1))
            labels = renumbered[rows]
        return rows, FactorGrid(
            self.names,
            [len(classes) for classes in kept.values()],
            labels,
            [n for n in self.scored or () if len(kept[n]) > 1],
            self.ordered,
            {n: [values[c] for c in kept[n]] for n, values in self.categories.items()},
        )

    def take(self, rows: np.ndarray) -> "FactorGrid":
        """The grid of some rows, with the same factors and classes."""
        labels = np.stack([self.column(k)[rows] for k in range(len(self.names))], axis=1)
        return replace(self, labels=labels)

    def counts(self, only_unknown: bool = False) -> list[str]:
        """For every factor its number of classes, and of images whose class is unknown.

        Args:
            only_unknown: Leave out factors that are known for all images.

        Examples:
            >>> FactorGrid(("a", "b"), (2, 1), np.array([[1, 0], [0, -1]])).counts(True)
            ['factor b: 1 class, 1 of 2 images unknown']
        """
        unknown = [int((self.column(name) < 0).sum()) for name in self.names]
        return [
            f"factor {name}: {counted(size, 'class')}, {count:,} of {counted(len(self), 'image')} "
            "unknown"
            for name, size, count in zip(self.names, self.sizes, unknown, strict=True)
            if count or not only_unknown
        ]

    def class_names(self, factor: str | int) -> tuple[str, ...]:
        """Names of a factor's classes: its categories, else the numbers from 0.

        Examples:
            >>> FactorGrid(("x",), (2,), categories={"x": (0.1 + 0.2, 1)}).class_names("x")
            ('0.3', '1')
        """
        k = self.position(factor)
        classes = self.categories.get(self.names[k], range(self.sizes[k]))
        return tuple(f"{c:.3g}" if isinstance(c, float) else str(c) for c in classes)

    def grouping_factor(self, among: Sequence[str]) -> str | None:
        """The first unordered factor of two to four classes; figures draw a line per class of it.

        Examples:
            >>> grid = FactorGrid(("shape", "x"), (2, 9), categories={"shape": ("disc", "ring")})
            >>> grid.grouping_factor(grid.names), grid.grouping_factor(["x"])
            ('shape', None)
        """
        sizes = dict(zip(self.names, self.sizes, strict=True))
        few = (n for n in among if n not in (self.ordered or ()) and 1 < sizes[n] <= MAX_GROUPS)
        return next(few, None)

    def combinations(self, factors: Sequence[str]) -> np.ndarray:
        """Which combination of some factors' classes each row shows.

        Args:
            factors: Names; the last varies fastest.

        Returns:
            Row-major numbers of the combinations, int64; -1 where a class is unknown.

        Examples:
            >>> FactorGrid(("a", "b"), (2, 2)).combinations(["b", "a"])
            array([0, 2, 1, 3])
        """
        cells = np.zeros(len(self), dtype=np.int64)
        for factor in factors:
            column = self.column(factor)
            cells = cells * self.sizes[self.position(factor)] + column
            cells[column < 0] = -1  # further factors leave it negative
        return np.maximum(cells, -1)
