"""Examples run: doctests in docstrings under src/, python blocks in README.md and docs/."""

import os
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

# Tests run in parallel processes: one thread each, in their children too, is faster than several
# that wait for each other. It must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

docstrings = Sybil(
    parsers=[DocTestParser(optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)],
    path="src",
    patterns=["**/*.py"],
)
pages = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["README.md", "docs/*.md"])

pytest_collect_file = (docstrings + pages).pytest()
