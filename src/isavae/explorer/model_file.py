"""A trained model on disk, which may change or disappear while somebody looks at it."""

import json
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, final

import safetensors.torch

from isavae.data import Preprocessing
from isavae.models import VAE
from isavae.runs import RunConfig, build_model, read_model_metadata

State = Literal["present", "gone", "unreadable"]


class GoneError(LookupError):
    """A model that was never read is no longer there."""


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A model as it was when its file was read.

    Attributes:
        model: the VAE, in evaluation mode.
        config: what it was trained by.
        step: optimiser steps done, of `steps`.
        preprocessing: how an uploaded image becomes one of the model's; None if none can.
        scores: what `scores.json` beside it held, or None.
        version: changes whenever the files do.
    """

    model: VAE
    config: RunConfig
    shape: tuple[int, int, int]
    step: int
    steps: int
    preprocessing: Preprocessing | None
    scores: dict[str, Any] | None
    version: str


@final
class ModelFile:
    """The weights of a run directory, or one model file, read again whenever they change.

    Args:
        path: a run directory or a `.safetensors` file of isavae.
    """

    def __init__(self, path: Path):
        self.weights = path / "model.safetensors" if path.is_dir() else path
        self.scores = self.weights.parent / "scores.json" if path.is_dir() else None
        self._lock = Lock()
        self._read: Trained | None = None

    def read(self) -> tuple[Trained, State]:
        """The newest model that could be read, and whether the file still is what it was.

        Raises:
            GoneError: if there is no file, and never was one here.
            ValueError: if the first file that is met cannot be read.
        """
        with self._lock:
            try:
                version = self._version()
                if self._read is None or self._read.version != version:
                    self._read = self._load(version)
            except FileNotFoundError:
                if self._read is None:
                    raise GoneError(
                        f"a run must hold trained weights; {self.weights} is not there (any more): "
                        "train it, or open another run"
                    ) from None
                return self._read, "gone"
            except (ValueError, OSError):
                if self._read is None:
                    raise
                return self._read, "unreadable"
            return self._read, "present"

    def _version(self) -> str:
        stats = [self.weights.stat()]
        if self.scores and self.scores.exists():
            stats.append(self.scores.stat())
        return "-".join(f"{stat.st_mtime_ns:x}.{stat.st_ino:x}.{stat.st_size:x}" for stat in stats)

    def _load(self, version: str) -> Trained:
        metadata = read_model_metadata(self.weights)
        config, shape = RunConfig.parse(metadata["config"]), tuple(metadata["shape"])
        model = build_model(config, shape)
        try:
            model.load_state_dict(safetensors.torch.load_file(self.weights))
        except (RuntimeError, safetensors.SafetensorError) as error:
            raise ValueError(
                f"{self.weights} must fit its configuration: {str(error).splitlines()[0]}"
            ) from None
        return Trained(
            model.eval(),
            config,
            shape,
            metadata["step"],
            metadata["steps"],
            Preprocessing.of_model(metadata, shape) if shape[0] in (1, 3) else None,
            _scores(self.scores),
            version,
        )


def _scores(path: Path | None) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text()) if path else None
    except (OSError, json.JSONDecodeError):
        return None
