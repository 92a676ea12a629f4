"""The Hugging Face Hub: one model file and its card, in a folder or a repository."""

import os
import tempfile
from pathlib import Path

from isavae.files import atomic_write
from isavae.runs.card import model_card
from isavae.runs.directory import Run
from isavae.runs.trained_model import TrainedModel

MODEL_FILE = "model.safetensors"


def save_pretrained(
    model: TrainedModel, folder: str | os.PathLike[str], repo: str | None = None
) -> Path:
    """Write `model.safetensors` and `README.md`, the model card, as a Hub repository has them.

    Args:
        model: what is written.
        folder: where to.
        repo: the name that the card shows for loading; the folder's if left out.
    """
    folder = Path(folder)
    model.save(folder / MODEL_FILE)
    with atomic_write(folder / "README.md") as file:
        file.write(model_card(model, repo or str(folder)).encode())
    return folder


def push_to_hub(
    model: TrainedModel, repo: str, *, private: bool = False, token: str | None = None
) -> str:
    """Upload the model file and its card, creating the repository where it is missing.

    Args:
        model: what is uploaded.
        repo: "user/name".
        private: whether a new repository is private.
        token: an access token; by default the one that `hf auth login` stored.

    Returns:
        The address of the commit.

    Raises:
        OSError: if the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            save_pretrained(model, folder, repo)
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, commit_message="Upload an isavae model"
            )
    except _refusals() as error:
        raise OSError(f"{repo} cannot be uploaded to the Hub: {_first_line(error)}") from error
    return str(commit.commit_url)


def from_pretrained(
    name: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
) -> TrainedModel:
    """A model from a folder, or from the Hub or its cache.

    Args:
        name: a folder that holds a `model.safetensors`, or "user/name" on the Hub.
        revision: a branch, tag or commit of the repository.
        token: an access token for a private repository.

    Raises:
        ValueError: if what is there is no model of isavae.
        OSError: if the Hub cannot be reached, or has no such model.
    """
    if Path(name).is_dir():
        return TrainedModel.load(Path(name) / MODEL_FILE)
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(str(name), MODEL_FILE, revision=revision, token=token)
    except _refusals() as error:
        raise OSError(
            f"{name!r} must be a folder with a {MODEL_FILE}, or a model on the Hub that can be "
            f"reached: {_first_line(error)}"
        ) from error
    return TrainedModel.load(path)


def open_model(name: str | os.PathLike[str]) -> TrainedModel:
    """A model from wherever it is: a run directory, a model file, a folder, or the Hub.

    Raises:
        ValueError: if what is there is no model of isavae.
        OSError: if nothing is there, and the Hub has no such model or cannot be reached.
    """
    path = Path(name)
    if (path / "config.json").is_file():
        return TrainedModel.from_run(Run.open(path))
    if path.is_file():
        return TrainedModel.load(path)
    return from_pretrained(name)


def _refusals() -> tuple[type[Exception], ...]:
    """What the Hub's client raises when it cannot do what it is asked.

    Its HTTP library changes from version to version; the bases of its own error name the library's.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    return (OSError, *HfHubHTTPError.__bases__, OfflineModeIsEnabled, HFValidationError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
