"""`model.safetensors`: the weights of a model, with all that it takes to rebuild it inside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch

from isavae.errors import first_line
from isavae.files import atomic_write
from isavae.models import VAE
from isavae.runs.build import build_model
from isavae.runs.config import FORMAT, RunConfig, check_format


@final
class CorruptCheckpointError(ValueError):
    """The weights or the training state of a run cannot be read, or do not fit the run."""


def save_model(model: VAE, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the weights as one safetensors file, with `metadata` as JSON inside."""
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    with atomic_write(path) as file:
        file.write(
            safetensors.torch.save(
                tensors, {"isavae": json.dumps({"version": FORMAT} | {**metadata})}
            )
        )


def read_model_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a model file.

    Raises:
        CorruptCheckpointError: If the file is no whole model file of isavae.
        ValueError: If there is no such file, or another version of isavae wrote it.
    """
    if not path.is_file():
        raise ValueError(f"a model must be a .safetensors file; there is none at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["isavae"])
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CorruptCheckpointError(
            f"{path} must be a whole model file of isavae; it cannot be read "
            f"({first_line(error)}): export or train the model again"
        ) from None
    check_format(metadata.pop("version", None), "a model file", path)
    return metadata


def read_model(path: Path) -> tuple[VAE, dict[str, Any]]:
    """The model in a file, in evaluation mode on the CPU, and the metadata beside it.

    Raises:
        CorruptCheckpointError: If the file is no whole model file of isavae.
        ValueError: If there is no such file, or another version of isavae wrote it.
    """
    metadata = read_model_metadata(path)
    model = build_model(RunConfig.parse(metadata["config"]), tuple(metadata["shape"]))
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise CorruptCheckpointError(
            f"the weights in {path} must fit the configuration in it: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    return model.eval(), metadata
