"""Lock files that the system gives back when their holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file while the block lasts; False if somebody else does.

    The system gives the lock back when the process dies, however it dies.

    Args:
        path: the file; it may stay.
        wait: wait until nobody else holds it.

    Raises:
        OSError: if the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        # Without locks of the system, filelock takes a file's existence for one: a kill leaves it.
        if isinstance(lock, SoftFileLock):
            raise OSError(
                f"a lock must lie on a file system with locks (flock); that of {path} has none: "
                "choose a folder on another one"
            )
        yield True
    finally:
        lock.release()
