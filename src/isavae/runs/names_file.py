"""`model.names.json` beside a model file: the names that a user gave to its latents."""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from isavae.errors import shown
from isavae.files import DamagedFileError, read_json, write_json
from isavae.runs.build import prior_of
from isavae.runs.config import RunConfig
from isavae.runs.directory import RESUMABLE
from isavae.runs.hub import MODEL_FILE
from isavae.runs.latent_names import all_names, check_names
from isavae.runs.model_file import read_model_metadata

# Settings that do not make it another model: it is trained further, or its images have moved.
MAY_CHANGE = RESUMABLE | {"data"}


def names_file(model: Path) -> Path:
    """The file of names beside a model file."""
    return model.with_suffix(".names.json")


def names_beside(model: Path, config: RunConfig) -> dict[str, str] | None:
    """The names in the file beside a model file; None if there is none for that model.

    A file that is damaged, or that names the latents of another model, is left aside with a
    warning.
    """
    try:
        return _read(names_file(model), config)
    except DamagedFileError as error:
        warnings.warn(f"{error}; latents have no names meanwhile", stacklevel=2)
        return None


def _read(file: Path, config: RunConfig) -> dict[str, str] | None:
    try:
        content = read_json(file)
    except FileNotFoundError:
        return None
    names, of = content.get("names"), content.get("model")
    if of != _identity(config):
        warnings.warn(
            f"{file} names the latents of another model and is left aside: name those of this one "
            "with `isavae name-axes`, which replaces the file",
            stacklevel=3,
        )
        return None
    if not isinstance(names, dict) or not all(isinstance(text, str) for text in names.values()):
        raise DamagedFileError(f"{file} must map latents to names; it holds {shown(names)}")
    try:
        return check_names(names, prior_of(config).n_latents)
    except ValueError as error:
        raise DamagedFileError(f"{file} must hold names of latents: {error}") from None


def write_names(model: Path, config: RunConfig, names: Mapping[str, str]) -> None:
    """Write the names of a model's latents beside its file."""
    write_json(names_file(model), {"model": _identity(config), "names": dict(names)})


def keep_in_step(model: Path, config: RunConfig, names: Mapping[str, str]) -> None:
    """Write the names of a model that was saved to the file beside it, if there is one for it.

    Otherwise names in an older file would stand for those that were saved.
    """
    if names_file(model).is_file() and names_beside(model, config) not in (None, names):
        write_names(model, config, names)


def name_latents(path: str | os.PathLike[str], names: Mapping[str, str]) -> list[str]:
    """Give names to latents of a model, beside those that it has; an empty one takes it away.

    They are written beside the model file, as `model.names.json`.

    Args:
        path: A run directory, a model file, or a folder with one.
        names: Names by the latents' own ones, such as {"z5": "slant"}.

    Returns:
        The name of every latent.

    Raises:
        ValueError: If there is no model or no such latent, or a name is not valid.
        OSError: If the file cannot be written.
    """
    model, config, given = _names_at(Path(path))
    latents = prior_of(config).n_latents
    given = check_names(given | dict(names), latents)
    write_names(model, config, given)
    return all_names(given, latents)


def names_of(path: str | os.PathLike[str]) -> list[str]:
    """The name of every latent of a run, of a model file, or of a folder with one.

    Returns:
        One name per latent, in order: "z1", "z2" and so on, or what the user called it.

    Raises:
        ValueError: If there is no model at the path, or its file or its names are damaged.
    """
    _, config, given = _names_at(Path(path))
    return all_names(given, prior_of(config).n_latents)


def are_names_written(path: str | os.PathLike[str]) -> bool:
    """Whether a model file itself holds the names that are kept beside it."""
    model, _, given = _names_at(Path(path))
    return read_model_metadata(model).get("names", {}) == given


def _names_at(path: Path) -> tuple[Path, RunConfig, dict[str, str]]:
    """A model's file, its configuration, and the names of its latents."""
    model = path / MODEL_FILE if path.is_dir() else path
    metadata = read_model_metadata(model)
    config = RunConfig.parse(metadata["config"])
    beside = _read(names_file(model), config)
    return model, config, metadata.get("names", {}) if beside is None else beside


def _identity(config: RunConfig) -> str:
    """The same for a model that is trained further, moved or saved elsewhere."""
    kept = {name: value for name, value in config.settings().items() if name not in MAY_CHANGE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
