"""Examples run: doctests in docstrings under src/, python blocks in README.md and docs/.

At the end one line says how many tests were skipped, and what each of them needs.
"""

import os
from collections import Counter
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

import pytest
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was skipped: the reason of a skip names what to install or do."""
    skipped = terminalreporter.getreports("skipped")
    if not skipped:
        return
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    counted = (f"{reason} ({count})" for reason, count in reasons.most_common())
    terminalreporter.write_line(f"{len(skipped)} skipped: {'; '.join(counted)}", yellow=True)
