"""The source of the explorer: one run, one model file, or a study."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from isavae.explorer.library import Images, Library
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

    def rows() -> list[dict[str, Any]]:
        table = results(path).iter_rows(named=True)
        return [_row(row) for row in table if row["status"] != "corrupt"]

    trained = [row for row in rows() if row["trained"]]
    if not trained:
        raise ValueError(f"a study needs a trained run to be explored; {path} has none yet")
    best = max(trained, key=lambda row: -1.0 if row["mig"] is None else row["mig"])
    overview = {"kind": "study", "title": path.absolute().name, "first": best["id"]}
    library = Library(lambda: ((run.name, run) for run in _run_paths(path)), data)
    return Source(library, overview, rows)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What the page needs of a run's row in the results table."""
    model, prior = row["model"] or "unknown", row["prior"]
    return {
        "id": row["run"],
        # Models that the paper has no name for differ by their priors.
        "series": model.replace("own prior", str(prior)),
        "trained": (Path(row["path"]) / MODEL_FILE).is_file(),
        **{name: row[name] for name in ("beta", "seed", "mig", "reconstruction", "status")},
    }


def _run_paths(path: Path) -> Iterator[Path]:
    """The run directories of a study, or of any directory of runs."""
    folder = path / "runs" if (path / "runs").is_dir() else path
    return (run for run in sorted(folder.iterdir()) if (run / "config.json").is_file())
