"""`isavae --completion SHELL`: a script that completes commands and flags, made by tyro."""

from collections.abc import Callable
from dataclasses import make_dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

from tyro.conf import DisallowNone, OmitSubcommandPrefixes, subcommand
from tyro.extras import subcommand_cli_from_dict

SHELLS = ("bash", "zsh", "fish")


def print_completion(shell: str, commands: dict[str, Callable[..., Any]]) -> None:
    """Print the script.

    Args:
        shell: One of `SHELLS`.
        commands: The functions of the commands by name; a name of two words is one of a group.

    Raises:
        ValueError: If the shell is another.
    """
    if shell not in SHELLS:
        raise ValueError(f"completion is for {', '.join(SHELLS)}; got {shell!r}")
    tree: dict[str, Any] = {}
    for name, function in commands.items():
        group, _, word = name.partition(" ")
        if word:
            tree.setdefault(group, {})[word] = function
        else:  # `isavae figure` is a group, too
            tree.setdefault(group, function)
    tops = {name: _group(made) if isinstance(made, dict) else made for name, made in tree.items()}
    try:
        subcommand_cli_from_dict(
            tops,
            prog="isavae",
            args=["--tyro-print-completion", shell],
            config=(OmitSubcommandPrefixes, DisallowNone),
        )
    except SystemExit:  # tyro ends here
        return


def _group(commands: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """What has one argument, a command of the group."""
    marks = [subcommand(name=name, constructor=function) for name, function in commands.items()]
    parts = [Annotated[Any, mark] for mark in marks]
    return make_dataclass("Group", [("command", reduce(or_, parts))])
