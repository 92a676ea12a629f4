"""Run directories written by hand, for the tests of results, summaries and choices."""

import json
import os
from pathlib import Path
from typing import Any

from isavae.runs import Run, RunConfig

LONG_AGO = 1_000_000_000


def write_run(root: Path, name: str, scores: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A run directory that claims to be trained and scored; without scores, only begun."""
    config = RunConfig.parse({"prior": "normal", "steps": 9} | settings)
    run = Run.create(root / "runs" / name, config)
    if scores is not None:
        run.write_scores(scores)
    settle(run.path)
    return run.path


def write_work(run: Path, **work: Any) -> None:
    """How the work on it went."""
    (run / "work.json").write_text(json.dumps(work))
    settle(run)


def settle(run: Path, when: int = LONG_AGO) -> None:
    """Let its last change lie so far back that an index may trust it."""
    os.utime(run, (when, when))


def scored(mig: float, reconstruction: float = -20.0, kl: float = 5.0) -> dict[str, Any]:
    """Scores as `evaluate` gives them."""
    return {
        "mig": {"value": mig},
        "reconstruction": {"value": reconstruction, "standard_error": 0.1, "n_images": 10},
        "kl": {"value": kl, "standard_error": 0.2, "n_images": 10},
        "exponents": [2.1, 2.2],
    }
