"""Writes that a kill cannot tear: to a temporary name in the same folder, flushed, then renamed.

And where temporary files of this user go.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears, whole, when the block ends without error.

    Args:
        path: the file to create or replace; its folder is created.

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


def scratch_folder() -> Path:
    """This user's folder for what may be lost, whether or not it exists."""
    # Windows has no numbers of users, and a folder of temporary files for each of them.
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"isavae{user}"


def _umask() -> int:
    """The process's umask, which mkstemp ignores; reading it needs setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
