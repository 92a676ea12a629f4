"""`model.safetensors`: the weights of a model, with all that it takes to rebuild it inside."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
from pydantic_core import from_json

from isavae.errors import first_line
from isavae.files import BLANK, CHECKSUM, atomic_write, is_sealed, sealed
from isavae.models import VAE
from isavae.runs.build import build_model
from isavae.runs.config import FORMAT, RunConfig, check_format


@final
class CorruptCheckpointError(ValueError):
    """The weights or the training state of a run cannot be read, or do not fit the run."""


# Bytes of the largest header of a model file: names of weights, settings and facts.
LARGEST_HEADER = 1 << 25
# Bytes that are read at a time.
BLOCK = 1 << 24


def save_model(model: VAE, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the weights as one safetensors file, with `metadata` as JSON and a checksum inside."""
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    about = json.dumps({"version": FORMAT} | {**metadata})
    with atomic_write(path) as file:
        file.write(sealed(safetensors.torch.save(tensors, {CHECKSUM: BLANK, "isavae": about})))


def read_model_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a model file, all of which is compared with its checksum.

    Raises:
        CorruptCheckpointError: If the file is no whole model file of isavae.
        ValueError: If there is no such file, or another version of isavae wrote it.
    """
    if not path.is_file():
        raise ValueError(f"a model must be a .safetensors file; there is none at {path}")
    try:
        with path.open("rb") as file:
            length = file.read(8)
            header = file.read(min(int.from_bytes(length, "little"), LARGEST_HEADER))
            metadata = from_json(from_json(header)["__metadata__"]["isavae"])
            whole = is_sealed(length + header, iter(partial(file.read, BLOCK), b""))
        version = metadata.pop("version", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(path, f"it cannot be read ({first_line(error)})") from None
    check_format(version, "a model file", path)
    if not whole:
        raise _corrupt(path, "it is damaged or was changed")
    return metadata


def _corrupt(path: Path, what: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f"{path} must be a whole model file of isavae; {what}: export or train the model again"
    )


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
