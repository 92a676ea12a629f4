"""Kinds of flags whose default has no value to show: their description says what it is."""

from typing import Annotated, Any, TypeVar

from tyro.conf import DisallowNone, arg

T = TypeVar("T")
# As values: checkers of types would take the first for a type, and refuse the call.
_NOT_GIVEN_AS_NONE: Any = DisallowNone
_NO_DEFAULT_SHOWN: Any = arg(help_behavior_hint="")

Optionally = Annotated[T | None, _NOT_GIVEN_AS_NONE, _NO_DEFAULT_SHOWN]
Several = Annotated[tuple[T, ...], _NO_DEFAULT_SHOWN]
