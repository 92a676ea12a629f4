"""A run directory: `config.json`, `model.safetensors`, `state.pt`, `log.jsonl`, `scores.json`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
import torch

from isavae.files import atomic_write
from isavae.models import VAE
from isavae.runs.build import build_model
from isavae.runs.config import RunConfig

# What may change when a run goes on: its length and where it runs, never what is learned.
RESUMABLE = {"steps", "epochs", "device"}


@final
@dataclass(frozen=True)
class Run:
    """A run directory and the configuration in it.

    Attributes:
        path: the directory.
        config: what `config.json` in it holds.
    """

    path: Path
    config: RunConfig

    @classmethod
    def create(cls, config: RunConfig, path: str | os.PathLike[str]) -> "Run":
        """Start a run directory.

        Raises:
            ValueError: if the directory holds something already, or cannot be written.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(
                f"a run must start in a new or empty directory; {path} is not: "
                "resume it or choose another name"
            )
        try:
            with atomic_write(path / "config.json") as file:
                file.write(config.to_json().encode())
        except OSError as error:
            raise ValueError(
                f"a run's directory must be writable; {path}: {error.strerror}"
            ) from None
        return cls(path, config)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open an existing run directory.

        Raises:
            ValueError: if it is not one.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise ValueError(f"a run directory must hold a config.json; {path} does not")
        return cls(path, RunConfig.from_file(path / "config.json"))

    def extended(self, settings: Mapping[str, Any]) -> "Run":
        """The run with another length or device, written to its `config.json`.

        Raises:
            ValueError: if anything else differs from the run's own settings.
        """
        config = RunConfig.parse(settings)
        for name, value in config:
            before = getattr(self.config, name)
            if value != before and name not in RESUMABLE:
                raise ValueError(
                    f"a resumed run keeps its settings; {name} is {before} in {self.path}, "
                    f"got {value}: start a new run instead"
                )
        if config != self.config:
            _write_config(config, self.path)
        return Run(self.path, config)

    @property
    def model_path(self) -> Path:
        """Where the weights are."""
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        """Where the state to resume from is."""
        return self.path / "state.pt"

    def log(self) -> list[dict[str, Any]]:
        """The records of `log.jsonl`; a last line cut by a kill is left out."""
        try:
            lines = (self.path / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def metadata(self) -> dict[str, Any]:
        """What the weights' file says of itself: step, steps, image shape.

        Raises:
            ValueError: if there are no weights yet, or the file is corrupt.
        """
        if not self.model_path.is_file():
            raise ValueError(
                f"{self.path} must hold trained weights; it holds none yet: train first"
            )
        return read_model_metadata(self.model_path)

    def finished(self) -> bool:
        """Whether the last step has been taken."""
        if not self.model_path.is_file():
            return False
        metadata = self.metadata()
        return metadata["step"] >= metadata["steps"]

    def load_model(self, device: str | torch.device = "cpu") -> VAE:
        """The trained model, in evaluation mode."""
        metadata = self.metadata()
        model = build_model(self.config, tuple(metadata["shape"]))
        try:
            model.load_state_dict(safetensors.torch.load_file(self.model_path))
        except RuntimeError as error:
            raise ValueError(
                f"{self.model_path} must fit its configuration: {str(error).splitlines()[0]}"
            ) from None
        return model.to(device).eval()

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        """Write `scores.json`."""
        with atomic_write(self.path / "scores.json") as file:
            file.write(json.dumps(scores, indent=2).encode())

    def scores(self) -> dict[str, Any] | None:
        """What `scores.json` holds, or None."""
        try:
            return json.loads((self.path / "scores.json").read_text())
        except FileNotFoundError:
            return None


def _write_config(config: RunConfig, path: Path) -> None:
    with atomic_write(path / "config.json") as file:
        file.write(config.to_json().encode())


def save_model(model: VAE, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the weights as one safetensors file, with `metadata` as JSON inside."""
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(tensors, {"isavae": json.dumps(metadata)}))


def read_model_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a model file.

    Raises:
        ValueError: if the file is no model of ours, or is corrupt.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["isavae"])
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must be a whole model file of isavae; it cannot be read ({error})"
        ) from None
