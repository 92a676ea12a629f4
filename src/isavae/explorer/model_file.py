"""A trained model on disk, which may change or disappear while it is shown."""

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Literal, final

from isavae.runs import Run, TrainedModel

State = Literal["present", "gone", "unreadable"]


class GoneError(LookupError):
    """A model that was never read is no longer there."""


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model as it was when its file was read.

    Attributes:
        id: The id that the page knows it by.
        trained: The model, with its scores where it is in a run directory.
        version: Changes whenever the files do.
        state: Whether the file is still what was read.
    """

    id: str
    trained: TrainedModel
    version: str
    state: State = "present"


@final
class ModelFile:
    """The weights of a run directory, or one model file, read again whenever they change.

    Args:
        path: A run directory or a `.safetensors` file of isavae.
        id: The id that the page knows it by.
    """

    def __init__(self, path: Path, id: str = "run"):
        self.path, self.id = path, id
        self.weights = path / "model.safetensors" if path.is_dir() else path
        self.scores = self.weights.parent / "scores.json" if path.is_dir() else None
        self._lock = Lock()
        self._read: ServedModel | None = None

    def read(self) -> ServedModel:
        """The newest model that could be read.

        Raises:
            GoneError: If there is no file, and there was none at the first look.
            ValueError: If the first file that is found cannot be read.
        """
        with self._lock:
            try:
                version = self._version()
                if self._read is None or self._read.version != version:
                    self._read = ServedModel(self.id, self._load(), version)
            except FileNotFoundError:
                if self._read is None:
                    raise GoneError(
                        f"a run must hold trained weights; {self.weights} does not exist (any "
                        "more): train the run, or open another one"
                    ) from None
                return replace(self._read, state="gone")
            except (ValueError, OSError):
                if self._read is None:
                    raise
                return replace(self._read, state="unreadable")
            return self._read

    def _version(self) -> str:
        stats = [self.weights.stat()]
        if self.scores and self.scores.exists():
            stats.append(self.scores.stat())
        return "-".join(f"{stat.st_mtime_ns:x}.{stat.st_ino:x}.{stat.st_size:x}" for stat in stats)

    def _load(self) -> TrainedModel:
        if self.scores is None:
            return TrainedModel.load(self.weights)
        return TrainedModel.from_run(Run.open(self.path))
