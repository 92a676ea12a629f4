"""Repositories of the Hugging Face Hub that hold one model file and its card."""

from pathlib import Path

from isavae.errors import first_line

MODEL_FILE = "model.safetensors"


def upload(folder: Path, repo: str, private: bool = False, token: str | None = None) -> str:
    """Upload a folder, creating the repository if it does not exist.

    Returns:
        The URL of the commit.

    Raises:
        OSError: If the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Upload an isavae model"
        )
    except _hub_errors() as error:
        raise OSError(f"{repo} cannot be uploaded to the Hub: {first_line(error)}") from error
    return str(commit.commit_url)


def download(name: str, revision: str | None = None, token: str | None = None) -> str:
    """The path of a repository's model file, from the Hub or its local cache.

    Raises:
        OSError: If the Hub cannot be reached, or has no such model.
    """
    from huggingface_hub import hf_hub_download

    try:
        return str(hf_hub_download(name, MODEL_FILE, revision=revision, token=token))
    except _hub_errors() as error:
        raise OSError(
            f"{name!r} must be a run, a model file, a folder with a {MODEL_FILE}, or a model on "
            f"the Hub that can be reached: {first_line(error)}"
        ) from error


def _hub_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client raises where it cannot do what it is asked.

    Its HTTP library differs between versions: the bases of its own error name that library's.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    return (OSError, *HfHubHTTPError.__bases__, OfflineModeIsEnabled, HFValidationError)
