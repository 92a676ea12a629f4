"""Lock files that the system releases when their holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file for the duration of the block; yield False if another process holds it.

    The system releases the lock when the process dies, however it dies.

    Args:
        path: The lock file; it may remain.
        wait: Whether to wait until the lock is free.

    Raises:
        OSError: If the file system does not support locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        # Without system locks filelock uses the file's existence, which survives a kill.
        if isinstance(lock, SoftFileLock):
            raise OSError(
                f"a lock must lie on a file system with locks (flock); that of {path} has none: "
                "choose a folder on another one"
            )
        yield True
    finally:
        lock.release()
