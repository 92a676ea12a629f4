"""Kinds of flags whose default has no value to show: their description says what it is."""

from typing import Annotated, TypeVar

from tyro.conf import DisallowNone, arg

T = TypeVar("T")

Optionally = Annotated[T | None, DisallowNone, arg(help_behavior_hint="")]
Several = Annotated[tuple[T, ...], arg(help_behavior_hint="")]
