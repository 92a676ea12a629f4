"""Examples run: doctests in docstrings under src/, python blocks in README.md and docs/.

At the end one line says how many tests were skipped, and what each of them needs.
"""

import doctest
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.evaluators.doctest import DocTestEvaluator, OutputChecker
from sybil.parsers.abstract import DocTestStringParser
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

# Tests run in parallel processes: one thread each, in their children too, is faster than several
# that wait for each other. It must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The time that an example takes depends on what else runs: it is no reason to fail.
settings.register_profile("isavae", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("isavae")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run of the tests decide what the precision "auto" finds."""
    parser.addoption(
        "--bfloat16",
        choices=["native", "absent"],
        help="run as on a CPU with or without bfloat16 products of its own",
    )


@pytest.fixture(autouse=True, scope="session")  # before the fixtures of modules
def _bfloat16(request: pytest.FixtureRequest) -> Iterator[None]:
    asked = request.config.getoption("--bfloat16")
    with pytest.MonkeyPatch.context() as patch:
        if asked is not None:
            import torch

            answer = {"avx512_bf16": asked == "native", "amx_bf16": False}
            patch.setattr(torch.cpu, "get_capabilities", lambda: answer, raising=False)
        yield


FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class CloseNumbers(OutputChecker):
    """Compare the floats of an example's output as numbers, everything else as text.

    The last bit of a float differs between processors, and `tensor` prints 2.0000 beside a value
    that is not whole, but 2. where all are. Whole numbers without a point are compared exactly.
    """

    floats = re.compile(r"(?<![\w.])[-+]?\d+\.\d*(?:e[-+]?\d+)?")

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether `got` is `want` but for float32 rounding and the spelling of numbers."""
        want, got = (re.sub(r"(?<=[\[(])\s+", "", text) for text in (want, got))
        wanted = self.floats.findall(want)
        values = iter(wanted)

        def agreed(found: re.Match[str]) -> str:
            expected = next(values, None)
            if expected is None or float(found[0]) != pytest.approx(float(expected), abs=1e-6):
                return found[0]
            return expected

        if len(self.floats.findall(got)) == len(wanted):
            got = self.floats.sub(agreed, got)
        return super().check_output(want, got, optionflags)


def doctests() -> DocTestStringParser:
    """Parse the examples of a docstring and compare their floats as numbers."""
    evaluator = DocTestEvaluator()
    evaluator.runner = doctest.DocTestRunner(CloseNumbers(), verbose=False, optionflags=FLAGS)
    return DocTestStringParser(evaluator)


docstrings = Sybil(
    parsers=[lambda document: doctests()(document.text, document.path)],
    path="src",
    patterns=["**/*.py"],
)


def enter_folder(namespace: dict[str, Any]) -> None:
    """Run the examples of a page in a folder of their own, where they may write files."""
    namespace["_folder"], namespace["_before"] = TemporaryDirectory(), Path.cwd()
    os.chdir(namespace["_folder"].name)


def leave_folder(namespace: dict[str, Any]) -> None:
    """Go back to where the tests run."""
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pages = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
)

pytest_collect_file = (docstrings + pages).pytest()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was skipped: the reason of a skip names what to install or do."""
    skipped = terminalreporter.getreports("skipped")
    if not skipped:
        return
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    counted = (f"{reason} ({count})" for reason, count in reasons.most_common())
    terminalreporter.write_line(f"{len(skipped)} skipped: {'; '.join(counted)}", yellow=True)
