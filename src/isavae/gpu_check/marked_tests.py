"""The tests that need a GPU, where the package comes with its tests: from a checkout."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
# Lines of the output of tests that failed.
KEPT_LINES = 80


def run_marked_tests(seconds: float, root: Path = ROOT) -> dict[str, Any]:
    """Run the tests marked `gpu` with pytest alone: no plugin and no other package is needed.

    Args:
        seconds: How long they may take.
        root: The checkout.

    Returns:
        The number of tests that "passed", "failed" and so on, and the "output" if some failed; or
        why all were "left_out".
    """
    tests = sorted((root / "tests").rglob("test_*.py"))
    marked = [str(path) for path in tests if "mark.gpu" in path.read_text(encoding="utf-8")]
    if not marked:
        return {"left_out": f"there is no checkout with tests at {root}"}
    if find_spec("pytest") is None:
        return {"left_out": "pytest is not installed"}
    options = ["-q", "-m", "gpu", "--noconftest", "-o", "addopts=", "--import-mode=importlib"]
    options += ["-p", "no:cacheprovider", "-W", "default"]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *marked],
            cwd=root, env=environment, text=True, timeout=seconds,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"left_out": f"they were not done after {seconds:.0f} s"}
    lines = ended.stdout.splitlines()
    counts = re.findall(r"(\d+) (passed|failed|skipped|errors?)", lines[-1] if lines else "")
    found: dict[str, Any] = {kind: int(count) for count, kind in counts}
    if ended.returncode:
        found |= {"exit_code": ended.returncode, "output": lines[-KEPT_LINES:]}
    return found
