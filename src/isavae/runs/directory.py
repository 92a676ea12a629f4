"""A run directory: `config.json`, `model.safetensors`, `state.pt`, `log.jsonl`, `scores.json`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from pydantic_core import from_json

from isavae.files import is_temporary, open_regular, read_json, write_json
from isavae.locks import locked
from isavae.models import VAE
from isavae.runs.config import FORMAT, MOST_SETTINGS, RunConfig, check_format
from isavae.runs.model_file import check_scores, read_model, read_model_metadata

# Settings that may change when a run is resumed: its length and device, nothing that is learned.
RESUMABLE = {"steps", "epochs", "device"}
# Bytes of a record of the log: 50 for each exponent that a prior may learn.
MOST_RECORD = 1 << 20


@final
@dataclass(frozen=True)
class Run:
    """A run directory and the configuration in it.

    Attributes:
        path: The directory.
        config: What `config.json` in it holds.
    """

    path: Path
    config: RunConfig

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: RunConfig) -> "Run":
        """Create a run directory; `isavae.runs.execute` trains it.

        Args:
            path: A directory that is new or empty.
            config: All settings of the run.

        Raises:
            ValueError: If the directory holds something already, or cannot be written.
        """
        path = Path(path)
        if path.exists() and not (path.is_dir() and all(map(is_temporary, path.iterdir()))):
            raise ValueError(
                f"a run must start in a new or empty directory; {path} is not: "
                "resume it or choose another name"
            )
        try:
            _write_config(config, path)
        except OSError as error:
            raise ValueError(
                f"a run's directory must be writable; {path}: {error.strerror}"
            ) from None
        return cls(path, config)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open an existing run directory.

        Raises:
            ValueError: If it is not one, or another version of isavae wrote it.
        """
        path = Path(path)
        file = path / "config.json"
        if not file.is_file():
            below = path / "study" / "runs"  # of `isavae fit`
            hint = f": take one of the runs in {below}" if below.is_dir() else ""
            raise ValueError(f"a run directory must hold a config.json; {path} does not{hint}")
        settings = read_json(file, MOST_SETTINGS)
        check_format(settings.pop("version", None), "a run directory", path)
        return cls(path, RunConfig.parse(settings))

    def extended(self, config: RunConfig, images: str = "") -> "Run":
        """The run with another length or device, written to its `config.json`.

        Args:
            config: The settings.
            images: The fingerprint of the images that `config.data` names; the place of images
                that have moved may change.

        Raises:
            ValueError: If anything else differs from the run's own settings, or another process
                trains the run.
        """
        moved = images and self.model_path.exists() and self.metadata().get("images") == images
        may_change = RESUMABLE | ({"data"} if moved else set())
        for name, value in config:
            before = getattr(self.config, name)
            if value != before and name not in may_change:
                raise ValueError(
                    f"a resumed run keeps its settings; {name} is {before} in {self.path}, "
                    f"got {value}: start a new run instead"
                )
        if config != self.config:
            with self.held():
                _write_config(config, self.path)
        return Run(self.path, config)

    def renamed(self, config: RunConfig, path: Path) -> None:
        """Move the run, and let it find its images under another name of the data set.

        Args:
            config: The configuration with the new name.
            path: Where the run is to lie.

        Raises:
            ValueError: If another process trains the run.
        """
        with self.held():
            _write_config(config, self.path)
        os.replace(self.path, path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for the duration of the block.

        Raises:
            ValueError: If another process holds it.
        """
        with locked(self.path / "lock") as free:
            if not free:
                raise ValueError(
                    f"a run must be trained by one process at a time; another one trains "
                    f"{self.path}: wait until it ends, or stop it"
                )
            yield

    @property
    def model_path(self) -> Path:
        """The weights, with the facts about them: a file that `TrainedModel.load` opens."""
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        """The checkpoint that `execute` goes on from."""
        return self.path / "state.pt"

    def log(self) -> list[dict[str, Any]]:
        """The records of `log.jsonl`, without lines that are incomplete or damaged."""
        try:
            with open_regular(self.path / "log.jsonl") as file:
                lines = iter(partial(file.readline, MOST_RECORD), b"")
                return [record for line in lines if (record := _record(line)) is not None]
        except FileNotFoundError:
            return []

    def metadata(self) -> dict[str, Any]:
        """The metadata of the model file: step, steps, shape and config.

        Raises:
            ValueError: If there are no weights yet, or the file is corrupt.
        """
        self.check_trained()
        return read_model_metadata(self.model_path)

    def check_trained(self) -> None:
        """Raise a ValueError if there are no weights yet."""
        if not self.model_path.is_file():
            raise ValueError(
                f"{self.path} must hold trained weights; it holds none yet: train first"
            )

    def finished(self) -> bool:
        """Whether the last step has been taken."""
        if not self.model_path.is_file():
            return False
        metadata = self.metadata()
        return metadata["step"] >= metadata["steps"]

    def load_model(self, device: str | torch.device = "cpu") -> VAE:
        """The trained model, in evaluation mode.

        Raises:
            ValueError: If there are no weights yet, or the model file is damaged.
        """
        self.check_trained()
        model, _ = read_model(self.model_path)
        return model.to(device)

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        """Write `scores.json`, replacing it."""
        write_json(self.path / "scores.json", scores)

    def scores(self) -> dict[str, Any] | None:
        """What `scores.json` holds, or None.

        Raises:
            DamagedFileError: If it is not what was written.
        """
        try:
            return check_scores(read_json(self.path / "scores.json"), self.path / "scores.json")
        except FileNotFoundError:
            return None


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in a line of the log; None if it is none."""
    try:
        record = from_json(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    is_record = isinstance(record, dict) and type(record.get("step")) is int
    return record if is_record else None


def _write_config(config: RunConfig, path: Path) -> None:
    settings = {"version": FORMAT} | config.settings()
    write_json(path / "config.json", settings, most=MOST_SETTINGS)
