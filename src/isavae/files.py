"""Files that are written whole and carry a checksum: atomic writes, JSON, temporary files."""

import errno
import json
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# The name of a file that is being written begins so, and ends with ~.
TEMPORARY = ".isavae-"
CHECKSUM = "checksum"
# Bytes of a JSON file at most, where those who write and read it give no other bound.
MOST_JSON = 1 << 24
# What stands for a checksum while it is computed.
BLANK = "0" * 8
# The first line of a text with a checksum, a comment in YAML.
_SEAL_LINE = f'# "{CHECKSUM}": "{BLANK}"\n'
# In JSON, in JSON within a string of JSON, as in the header of a model file, or in that line.
_SEAL = re.compile(rb'checksum\\?": ?\\?"([0-9a-f]{8})\\?"')


@final
class DamagedFileError(ValueError):
    """A file does not hold what was written to it, or is larger than it may be."""


@final
class FileTooLargeError(ValueError):
    """What is to be written would not be read again, for the file would be too large."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears, whole, when the block ends without error.

    Args:
        path: The file to create or replace; its folder is created.

    Raises:
        OSError: If it cannot be written; names the file and the remedy if it is too large.

    Examples:
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_write(Path(folder, "deep", "note.txt")) as file:
        ...     written = file.write(b"whole")
        >>> Path(folder, "deep", "note.txt").read_bytes()
        b'whole'
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(
            f"a file must be written to a new name or over a file; {path} is a folder, a device or "
            "a pipe: choose another name"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    try:
        descriptor, temporary = _temporary_file(path.parent)
    except PermissionError as error:
        error.filename = os.fspath(path)  # not the temporary name
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no file that is open
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            refusal = OSError(
                f"a file must stay below the limit on the size of files, but {path} does not: "
                "raise the limit with `ulimit -f`, or choose a folder on another file system"
            )
            refusal.errno = errno.EFBIG
            raise refusal from None
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = os.fspath(path)  # what a full disk does not say
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder whose writers were killed."""
    for path in folder.glob(f"{TEMPORARY}*~"):
        with suppress(OSError), path.open("r+b") as file:  # another process may hold it
            _hold(file.fileno())
            path.unlink()


def is_temporary(path: Path) -> bool:
    """Whether a file is one that `atomic_write` has not renamed yet."""
    return path.name.startswith(TEMPORARY) and path.name.endswith("~")


def _temporary_file(folder: Path) -> tuple[int, str]:
    """A new file that this process holds, so that nobody takes it for a leftover."""
    while True:
        descriptor, path = tempfile.mkstemp(dir=folder, prefix=TEMPORARY, suffix="~")
        try:
            _hold(descriptor)
        except BlockingIOError:  # before it was held, another process took it for a leftover
            os.close(descriptor)
            continue
        except OSError:  # without locks nobody removes leftovers
            return descriptor, path
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)


def _hold(descriptor: int) -> None:
    """Hold an open file until it is closed.

    Raises:
        OSError: If another process holds it, or locks are not supported here.
    """
    if fcntl is None:
        raise OSError("this system has no flock")
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sealed(data: bytes) -> bytes:
    """The bytes with the CRC-32 of all of them in their first `"checksum": "00000000"`."""
    at, end = _seal_span(data)
    return data[:at] + b"%08x" % zlib.crc32(data) + data[end:]


def is_sealed(head: bytes, rest: Iterable[bytes] = ()) -> bool | None:
    """Whether the checksum in a file's head fits the file; None if there is no checksum.

    Args:
        head: The first bytes of the file, with the checksum.
        rest: The others, some at a time.
    """
    found = _SEAL.search(head)
    if found is None:
        return None
    crc = zlib.crc32(head[: found.start(1)] + BLANK.encode() + head[found.end(1) :])
    for part in rest:
        crc = zlib.crc32(part, crc)
    return crc == int(found[1], 16)


def _seal_span(data: bytes) -> tuple[int, int]:
    found = _SEAL.search(data)
    assert found is not None  # the writer has left a blank one
    return found.span(1)


def write_json(
    path: str | os.PathLike[str],
    value: Mapping[str, Any],
    indent: int | None = 2,
    most: int = MOST_JSON,
) -> None:
    """Write names and JSON-like values as JSON with a checksum, atomically.

    Args:
        path: The file.
        value: The names and values.
        indent: Spaces of each level, for people to read; None writes one line.
        most: Bytes that it may have at most, as for `read_json`.

    Raises:
        FileTooLargeError: If it would have more.
    """
    data = json.dumps({CHECKSUM: BLANK, **value}, indent=indent).encode()
    if len(data) > most:
        raise FileTooLargeError(
            f"a file of isavae must have no more than {most:,} bytes to be read again; {path} "
            f"would have {len(data):,}: shorten the names and lists that it holds"
        )
    with atomic_write(path) as file:
        file.write(sealed(data))


def read_json(path: str | os.PathLike[str], most: int = MOST_JSON) -> dict[str, Any]:
    """What `write_json` wrote.

    Args:
        path: The file.
        most: Bytes that it may have at most; reading takes up to thirty times as much memory.

    Raises:
        DamagedFileError: If it holds something else, or more.
        OSError: If it is no regular file, or cannot be opened; FileNotFoundError if there is none.
    """
    return _parse_json(read_at_most(path, most), path)


def _parse_json(data: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values in the bytes of a file by `write_json`, or written by hand without a checksum."""
    check_seal(data, path)
    try:
        # of the standard library, for paths may be no UTF-8: pydantic refuses to read them
        value = json.loads(data, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"a file of isavae must be JSON; {path} is not JSON ({error})"
        ) from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise DamagedFileError(f"{path} must map names to values; it holds a value of type {kind}")
    value.pop(CHECKSUM, None)
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands twice")
    return value


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write YAML below a line with its checksum, atomically."""
    with atomic_write(path) as file:
        file.write(sealed((_SEAL_LINE + text).encode()))


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """What `write_text` wrote, or the whole of a text that was written by hand.

    Args:
        path: The file.
        most: Bytes that it may have at most.

    Raises:
        DamagedFileError: If it does not fit the checksum, or has more.
        OSError: If there is no such file.
        UnicodeDecodeError: If it is not UTF-8.
    """
    data = read_at_most(path, most)
    head, end, rest = data.partition(b"\n")
    check_seal(head, path, (end, rest))
    return (rest if _SEAL.search(head) else data).decode()


def check_seal(data: bytes, path: str | os.PathLike[str], rest: Iterable[bytes] = ()) -> None:
    """Check that bytes, and those that follow them, fit the checksum in them, if there is one.

    Raises:
        DamagedFileError: If they do not.
    """
    if is_sealed(data, rest) is False:
        raise DamagedFileError(
            f"{path} must be as isavae wrote it, but is damaged or was changed: restore it, or "
            f"delete the line {CHECKSUM!r} in it to use it as it is"
        )


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file for reading; a pipe is not waited for, nor a device read.

    Raises:
        OSError: If it is no regular file, or cannot be opened.
    """
    return open(path, "rb", opener=_descriptor)


def _descriptor(path: str | os.PathLike[str], flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has none
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return descriptor


def read_at_most(path: str | os.PathLike[str], most: int) -> bytes:
    """The bytes of a regular file of bounded size; a pipe is not waited for.

    Raises:
        DamagedFileError: If there are more than `most`.
        OSError: If it is no regular file, or cannot be read.
    """
    with open(path, "rb", buffering=0, opener=_descriptor) as file:  # twice as fast as a buffer
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= most else None
    if data is None or len(data) > most:  # it may have grown meanwhile
        raise DamagedFileError(
            f"a file must have no more than {most:,} bytes to be read; {path} has more"
        )
    return data


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
