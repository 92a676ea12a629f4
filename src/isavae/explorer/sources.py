"""The source of the explorer: one run, one model file, or a study."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from isavae.explorer.library import Images, Library
from isavae.explorer.study_rows import merit, study_table
from isavae.runs.hub import MODEL_FILE
from isavae.runs.moved_images import is_fitted


@final
@dataclass(frozen=True)
class Source:
    """What is shown.

    Attributes:
        library: The models that may be requested.
        overview: Title and kind, and the model to begin with.
        table: The runs of a study, see `study_table`; no rows for anything else.
    """

    library: Library
    overview: dict[str, Any]
    table: Callable[[], dict[str, Any]] = lambda: {"rows": [], "printed": []}


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
    found = "has no trained model" if path.exists() else "does not exist"
    raise ValueError(
        "explore needs a run directory, a model file (.safetensors), a folder of isavae fit or a "
        f"study directory; {path} {found}: correct the path, or train a run there with "
        f"`isavae train --out {path}`"
    )


def _one_model(path: Path, data: Images | None, named: Path | None = None) -> Source:
    library = Library(lambda: [("run", path)], data)
    library.show("run")  # complain at once about what cannot be read
    kind = "run" if path.is_dir() else "model"
    overview = {"kind": kind, "title": (named or path).absolute().name, "first": "run"}
    return Source(library, overview | {"fitted": named is not None})


def _study(path: Path, data: Images | None) -> Source:
    trained = [row for row in study_table(path)["rows"] if row["trained"]]
    if not trained:
        raise ValueError(f"a study needs a trained run to be explored; {path} has none yet")
    first = next((row for row in trained if row["chosen"]), None) or max(trained, key=merit)
    overview = {"kind": "study", "title": path.absolute().name, "first": first["id"]}
    library = Library(lambda: ((run.name, run) for run in _run_paths(path)), data)
    return Source(library, overview, partial(study_table, path))


def _run_paths(path: Path) -> Iterator[Path]:
    """The run directories of a study, or of any directory of runs."""
    folder = path / "runs" if (path / "runs").is_dir() else path
    return (run for run in sorted(folder.iterdir()) if (run / "config.json").is_file())
