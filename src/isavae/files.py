"""Atomic writes: to a temporary name in the same folder, flushed, then renamed.

And the folder for this user's temporary files.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears, whole, when the block ends without error.

    Args:
        path: The file to create or replace; its folder is created.

    Examples:
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_write(Path(folder, "deep", "note.txt")) as file:
        ...     written = file.write(b"whole")
        >>> Path(folder, "deep", "note.txt").read_bytes()
        b'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix="~")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON-like value as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2).encode())


def scratch_folder() -> Path:
    """This user's folder for temporary files, whether or not it exists."""
    # Windows has no user ids, but a temporary folder for each user.
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"isavae{user}"


def _umask() -> int:
    """The process's umask, which mkstemp ignores; reading it needs setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
