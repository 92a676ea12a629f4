"""A study in object storage, such as `s3://bucket/study`, with a local mirror of its small files.

A run is executed in a local folder: it is fetched first, its files are stored after every
checkpoint, and its scores last. Object storage has no locks, so it supports one driver per study.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import fsspec

from isavae.files import scratch_folder

# In the order of storing: after a kill at any moment the stored files suffice to resume.
RUN_FILES = ("config.json", "log.jsonl", "state.pt", "model.safetensors", "work.json")
LAST_FILE = "scores.json"
MIRRORED = {"config.json", "work.json", LAST_FILE}


def is_remote(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a URL rather than a path.

    >>> is_remote("s3://bucket/study"), is_remote("runs/study")
    (True, False)
    """
    return "://" in str(place)


@final
@dataclass(frozen=True)
class Remote:
    """The object storage of a study.

    Args:
        url: Any URL or path that fsspec supports; s3:// needs the extra `remote`.
    """

    url: str

    @cached_property
    def _storage(self) -> tuple[Any, str]:
        system, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        return system, root.rstrip("/")

    @property
    def scratch(self) -> Path:
        """The local folder for the study."""
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return scratch_folder() / digest

    def read(self, name: str) -> bytes | None:
        """Read an object; None if it does not exist."""
        system, root = self._storage
        try:
            return system.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        system, root = self._storage
        system.pipe_file(f"{root}/{name}", content)

    def remove(self, name: str) -> None:
        """Delete an object, if it exists."""
        system, root = self._storage
        if system.exists(f"{root}/{name}"):
            system.rm_file(f"{root}/{name}")

    def fetch_run(self, run: str, into: Path) -> None:
        """Fetch a run's files, so that it can be resumed."""
        for name in (*RUN_FILES, LAST_FILE):
            content = self.read(f"runs/{run}/{name}")
            if content is not None:
                into.mkdir(parents=True, exist_ok=True)
                (into / name).write_bytes(content)

    def store_run(self, run: str, directory: Path) -> None:
        """Store a run's files; delete the stored training state of a finished run."""
        for name in RUN_FILES:
            if (directory / name).is_file():
                self.write(f"runs/{run}/{name}", (directory / name).read_bytes())
        for events in directory.glob("events.out.tfevents.*"):
            self.write(f"runs/{run}/{events.name}", events.read_bytes())
        if not (directory / "state.pt").exists():
            self.remove(f"runs/{run}/state.pt")
        if (directory / LAST_FILE).is_file():
            self.write(f"runs/{run}/{LAST_FILE}", (directory / LAST_FILE).read_bytes())

    def mirror(self, into: Path) -> None:
        """Fetch the study file and all runs' small files, except those already present."""
        system, root = self._storage
        system.invalidate_cache()
        wanted: dict[str, Path] = {}
        for key, about in system.find(root, detail=True).items():
            name = key.removeprefix(root + "/")
            local = into / name
            small = name == "study.yaml" or (
                name.startswith("runs/") and name.rsplit("/", 1)[-1] in MIRRORED
            )
            if small and not (local.is_file() and local.stat().st_size == about["size"]):
                wanted[key] = local
        for key, content in (system.cat(list(wanted)) if wanted else {}).items():
            wanted[key].parent.mkdir(parents=True, exist_ok=True)
            wanted[key].write_bytes(content)


def with_uploads(
    remote: Remote, run: str, directory: Path, seconds: float, should_stop: Callable[[], bool]
) -> Callable[[], bool]:
    """`should_stop`, which also stores the run every `seconds` if there is a new checkpoint."""
    stored = time.monotonic()
    state = directory / "state.pt"
    seen = state.stat().st_mtime_ns if state.exists() else 0

    def check() -> bool:
        nonlocal stored, seen
        if time.monotonic() - stored > seconds and state.exists():
            changed = state.stat().st_mtime_ns
            if changed != seen:
                remote.store_run(run, directory)
                seen = changed
            stored = time.monotonic()
        return should_stop()

    return check
