"""Python imports this at its start where this folder is in PYTHONPATH: it notes every drawing.

Each time a process draws dSprites, it adds a line to the file that DRAWING_NOTES names. The module
that draws is wrapped when it is first imported, for most processes never import it.
"""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

DRAWS = "isavae.data.drawn.sprites"


def note_drawings_of(module: ModuleType) -> None:
    """Make the module's `draw` write a line before it draws."""
    draw = module.draw

    def noted(*arguments):
        with open(os.environ["DRAWING_NOTES"], "a", encoding="utf-8") as notes:
            notes.write("drawn\n")
        yield from draw(*arguments)

    module.draw = noted


class Finder:
    """Finds the module that draws, and nothing else, once."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name != DRAWS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            note_drawings_of(module)

        spec.loader.exec_module = execute_and_wrap
        return spec


sys.meta_path.insert(0, Finder())
