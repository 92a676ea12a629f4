"""The source of the explorer: one run, one model file, or a study."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from isavae.explorer.library import Images, Library
from isavae.runs import TrainedModel
from isavae.runs.hub import MODEL_FILE
from isavae.runs.moved_images import is_fitted


@final
@dataclass(frozen=True)
class Source:
    """What is shown.

    Attributes:
        library: The models that may be requested.
        overview: Title and kind, and the model to begin with.
        rows: The results table of a study, one dict per run; empty for anything else.
    """

    library: Library
    overview: dict[str, Any]
    rows: Callable[[], list[dict[str, Any]]] = list


def open_source(path: Path, data: Images | None = None) -> Source:
    """A run directory, a model file, a folder of `isavae fit` or a study directory.

    Args:
        path: The run, model file, folder or study.
        data: Images instead of those a model was trained on.

    Raises:
        ValueError: If it is none of them, or holds no trained model yet.
    """
    if is_fitted(path) and (path / MODEL_FILE).is_file():
        return _one_model(path / MODEL_FILE, str(path) if data is None else data, path)
    if (path / "config.json").is_file() or (path.is_file() and path.suffix == ".safetensors"):
        return _one_model(path, data)
    if (path / MODEL_FILE).is_file():  # of `isavae fit`, or of `save_pretrained`
        return _one_model(path / MODEL_FILE, data)
    if path.is_dir() and next(_run_paths(path), None):
        return _study(path, data)
    raise ValueError(
        "explore needs a run directory, a model file (.safetensors), a folder of isavae fit or a "
        f"study directory; {path} is none: train a run with `isavae train --out {path}` first"
    )


def _one_model(path: Path, data: Images | None, named: Path | None = None) -> Source:
    library = Library(lambda: [("run", path)], data)
    library.show("run")  # complain at once about what cannot be read
    kind = "run" if path.is_dir() else "model"
    return Source(library, {"kind": kind, "title": (named or path).absolute().name, "first": "run"})


def _study(path: Path, data: Images | None) -> Source:
    from isavae.studies import results  # polars is loaded only for studies

    chosen = _choice_of_fit(path)

    def rows() -> list[dict[str, Any]]:
        table = results(path).iter_rows(named=True)
        return [
            _row(row) | {"chosen": (row["objective"], row["beta"], row["seed"]) == chosen}
            for row in table
            if row["status"] != "corrupt"
        ]

    trained = [row for row in rows() if row["trained"]]
    if not trained:
        raise ValueError(f"a study needs a trained run to be explored; {path} has none yet")
    first = next((row for row in trained if row["chosen"]), None) or max(trained, key=_merit)
    overview = {"kind": "study", "title": path.absolute().name, "first": first["id"]}
    library = Library(lambda: ((run.name, run) for run in _run_paths(path)), data)
    return Source(library, overview, rows)


def _choice_of_fit(study: Path) -> tuple[str, float | None, int] | None:
    """Objective, β and seed of the model that `isavae fit` chose, where the study is its own."""
    folder = study.absolute().parent
    if not is_fitted(folder) or not (folder / MODEL_FILE).is_file():
        return None
    config = TrainedModel.load(folder / MODEL_FILE).config
    return config.objective.name, getattr(config.objective, "beta", None), config.seed


def _merit(row: dict[str, Any]) -> tuple[float, float]:
    """By MIG; without factors, by reconstruction."""
    mig, reconstruction = (row[name] for name in ("mig", "reconstruction"))
    return (-1.0 if mig is None else mig, -math.inf if reconstruction is None else reconstruction)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What the page needs of a run's row in the results table."""
    model, prior = row["model"] or "unknown", row["prior"]
    return {
        "id": row["run"],
        # Models that the paper has no name for differ by their priors.
        "series": model.replace("own prior", str(prior)),
        "trained": (Path(row["path"]) / MODEL_FILE).is_file(),
        **{name: row[name] for name in ("beta", "seed", "mig", "reconstruction", "kl", "status")},
    }


def _run_paths(path: Path) -> Iterator[Path]:
    """The run directories of a study, or of any directory of runs."""
    folder = path / "runs" if (path / "runs").is_dir() else path
    return (run for run in sorted(folder.iterdir()) if (run / "config.json").is_file())
