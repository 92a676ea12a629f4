"""Download published files: checked, retried, and resumed after a cut transfer."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isavae.data.official.files import PublishedFile
from isavae.data.read_progress import progress
from isavae.data.safe_reading import import_extra

ATTEMPTS = 5
# Bytes; what a cut transfer loses at most.
BLOCK = 1 << 16


def fetch(file: PublishedFile, folder: Path, wait: Callable[[float], None] = time.sleep) -> Path:
    """Download a file unless it is there as published.

    A cut transfer leaves `NAME.part` behind, from which the next one resumes.

    Args:
        file: The file.
        folder: The folder to put it into.
        wait: Called with the seconds to wait between attempts.

    Raises:
        ValueError: If it cannot be reached, is not found, or is not the published file.
    """
    url = f"{file.folder}/{file.name}"
    by_hand = f"fetch {url} yourself and put it into {folder}"
    if os.environ.get("ISAVAE_OFFLINE") and not (folder / file.name).is_file():
        raise ValueError(f"ISAVAE_OFFLINE must not be set for a download, but is: {by_hand}.")
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.is_file():
        if has_hash(target, file.hash):
            return target
        target.unlink()
    _resume(url, part, wait, by_hand)
    if not has_hash(part, file.hash):
        part.unlink()
        raise ValueError(
            f"{url} must have the hash {file.hash}, but what came has another and was not kept: "
            f"try again later, or {by_hand} and import it with --unchecked if you trust it."
        )
    return part.replace(target)


def has_hash(path: Path, expected: str) -> bool:
    """Whether a file has the hash of the published one; True where none is known."""
    if not expected:
        return True
    algorithm, digest = expected.split(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest


def _resume(url: str, part: Path, wait: Callable[[float], None], by_hand: str) -> None:
    """Complete `part` in several attempts."""
    requests = import_extra("requests")
    reason: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            wait(2.0**attempt)
        try:
            _transfer(requests, url, part)
            return
        except requests.HTTPError as error:
            if error.response.status_code < 500:
                status = f"{error.response.status_code} {error.response.reason}"
                raise ValueError(f"{url} must be there, but its server says {status}.") from error
            reason = error
        except (requests.ConnectionError, requests.Timeout, OSError) as error:
            reason = error
    raise ValueError(
        f"{url} must be reachable, but was not in {ATTEMPTS} attempts ({reason}): {by_hand}."
    ) from reason


def _transfer(requests: Any, url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if answer.status_code == 416:  # nothing is left to send, or `part` is not of this file
            part.unlink()
            raise requests.ConnectionError("the partial file did not fit")
        answer.raise_for_status()
        resumed = answer.status_code == 206
        length = int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if resumed else "wb") as file:
            blocks: Iterator[bytes] = answer.iter_content(BLOCK)
            label = f"fetching {part.stem}"
            for block in progress(blocks, length / 1e6, label, lambda b: len(b) / 1e6, "MB"):
                file.write(block)
