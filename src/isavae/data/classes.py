"""Classes of factors: chosen by number, name, slice or text; checked and renumbered as labels."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from isavae.errors import shown

Choice: TypeAlias = int | str | float | slice | Sequence[int | str | float] | np.ndarray


def chosen_classes(choice: Choice, factor: str, size: int, categories: Sequence) -> np.ndarray:
    """Classes of a factor that a choice means.

    Args:
        choice: A class, a category's name, a slice, or several classes or names.
        factor: The name of the factor, for error messages.
        size: How many classes it has.
        categories: What they are called, if they have names.

    Raises:
        ValueError: If the choice names no class of this factor.

    Examples:
        >>> chosen_classes(["heart", 0], "shape", 3, ("square", "ellipse", "heart"))
        array([2, 0])
    """
    if isinstance(choice, slice):
        chosen = range(size)[choice]
    elif isinstance(choice, Iterable) and not isinstance(choice, str):
        chosen = [_class(one, factor, size, categories) for one in choice]
    else:
        chosen = [_class(choice, factor, size, categories)]
    if len(chosen) == 0 or len(set(chosen)) != len(chosen):
        raise ValueError(
            f"A choice of {factor!r} must be one or more distinct classes of its {size}, "
            f"but is {shown(choice)}."
        )
    return np.array(chosen, dtype=np.int64)


def _class(one: int | str | float, factor: str, size: int, categories: Sequence) -> int:
    """One class of a factor, from its category name or its number."""
    for name in (one, str(one)):
        if name in categories:
            return categories.index(name)
    if isinstance(one, (int, np.integer)) and 0 <= one < size:
        return int(one)
    known = f"one of {categories} or " if categories else ""
    raise ValueError(f"A class of {factor!r} must be {known}in 0..{size - 1}, but is {one!r}.")


def checked_labels(
    labels: np.ndarray, names: tuple[str, ...], sizes: tuple[int, ...]
) -> np.ndarray:
    """Labels as int32.

    Raises:
        ValueError: If they are not one class, or -1, of every factor per row.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(names) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be integers of shape (rows, {len(names)}), "
            f"but are {labels.dtype} of shape {labels.shape}."
        )
    if len(labels) and ((labels < -1) | (labels >= np.array(sizes))).any():
        raise ValueError(f"`labels` must be in 0..size-1 for sizes {sizes}, or -1 where unknown.")
    return labels.astype(np.int32)


def renumber(column: np.ndarray, classes: np.ndarray, size: int) -> np.ndarray:
    """Old classes to positions in `classes`; -1 for classes left out and for unknown ones."""
    table = np.full(size + 1, -1, dtype=np.int32)  # the last entry answers to class -1
    table[classes] = np.arange(len(classes))
    return table[column]


def parse_choices(text: str) -> dict[str, Choice]:
    """Choices of factor classes from their text form.

    Raises:
        ValueError: If a part is not `factor=classes`.

    Examples:
        >>> parse_choices("shape=heart, scale=::2, posX=3|5")
        {'shape': ['heart'], 'scale': slice(None, None, 2), 'posX': [3, 5]}
    """
    choices: dict[str, Choice] = {}
    for part in text.split(","):
        factor, equals, classes = (piece.strip() for piece in part.partition("="))
        if not (factor and equals and classes) or factor in choices:
            raise ValueError(
                f"A choice must be `factor=classes` once per factor, but is {part.strip()!r} in "
                f"{text!r}: write for example shape=heart, scale=::2."
            )
        if re.fullmatch(r"-?\d*:-?\d*(:-?\d*)?", classes):
            choices[factor] = slice(*(int(n) if n else None for n in classes.split(":")))
        else:
            choices[factor] = [_one_class(one.strip()) for one in classes.split("|")]
    return choices


def _one_class(text: str) -> int | float | str:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text) else text
