"""YAML with line numbers, so that errors in a study file give the line."""

from collections.abc import Sequence
from typing import Any, final

import yaml

from isavae import bounded_yaml


@final
class LocatedYaml:
    r"""A YAML text as plain values, with the line of every part.

    Args:
        text: The YAML.
        source: Its name in error messages.

    Raises:
        ValueError: If it is not YAML, or a key occurs twice in one mapping.

    >>> located = LocatedYaml("runs:\n- prior: normal\n  bata: 2", "my.yaml")
    >>> located.values, located.line("runs", 0, "bata")
    ({'runs': [{'prior': 'normal', 'bata': 2}]}, 3)
    """

    def __init__(self, text: str, source: str):
        self.source = source
        try:
            self._root = bounded_yaml.compose(text)
            self.values: Any = bounded_yaml.load(text)
        except yaml.YAMLError as error:
            raise ValueError(bounded_yaml.explain(error, source)) from None

    def line(self, *path: str | int) -> int:
        """The line of the part at a path of keys and positions, or of its nearest known parent."""
        node, line = self._root, 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = next((pair for pair in node.value if pair[0].value == str(step)), None)
                if found is None:
                    return line
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    return line
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def error(self, message: str, path: Sequence[str | int]) -> ValueError:
        """An error with the line of the part at `path`."""
        return ValueError(f"{self.source}, line {self.line(*path)}: {message}")
