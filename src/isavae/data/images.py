"""A user's own pictures: a folder of files, decoded with all cores into the cache."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from isavae.data import decoding
from isavae.data.official.reading import optional
from isavae.data.unread import Unread

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
PIPE = 1 << 20  # bytes that a decoding process may be ahead, where the platform lets us choose
CHUNK = 64  # files per request to a decoding process


def picture_files(folder: Path) -> list[str]:
    """The picture files below a folder, by name; hidden files and folders are left out.

    Raises:
        ValueError: If there is none.
    """
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(place, name)  # strings: a hundred thousand `Path`s take seconds to sort
            for name in files
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        raise ValueError(f"{folder} must hold pictures ({', '.join(SUFFIXES)}), but holds none.")
    return sorted(found)


def read_folder(
    folder: Path, size: tuple[int, int] | None = None, fit: str = "", channels: int = 0
) -> Unread:
    """The pictures below a folder.

    Args:
        folder: The folder; pictures in folders below it count.
        size: Height and width to bring them to; may be left out if all have the same.
        fit: How: `crop` cuts the longer side evenly, `pad` adds black, `stretch` ignores
            proportions.
        channels: 1 for grey, 3 for colour; by default colour if any of a sample of files is.

    Raises:
        ValueError: If there is no picture, or sizes differ and no rule is given.
    """
    files = picture_files(folder)
    if size and fit not in decoding.FITS:
        raise ValueError(
            f"`fit` must say how to bring pictures to {size[0]} x {size[1]}, one of "
            f"{', '.join(decoding.FITS)}, but is {fit!r}."
        )
    channels = channels or _channels(files)
    first = decoding.decode_many(_request(files[:1], size, fit, channels))[1]
    _require_success(first, size)
    return Unread(
        shape=tuple(first["shape"][1:]),
        count=len(files),
        blocks=_decoded(files, size, fit, channels, tuple(first["shape"][1:])),
        names=[os.path.relpath(path, folder).replace(os.sep, "/") for path in files],
    )


def _decoded(
    files: Sequence[str],
    size: tuple[int, int] | None,
    fit: str,
    channels: int,
    shape: tuple[int, int, int],
) -> Iterator[np.ndarray]:
    """Pixels of all files in their order, with one decoding process per core, at bounded memory."""
    chunks = [files[k : k + CHUNK] for k in range(0, len(files), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    idle: SimpleQueue[subprocess.Popen] = SimpleQueue()

    def decode(chunk: Sequence[str]) -> np.ndarray:
        worker = idle.get()
        pixels, about = _ask(worker, _request(chunk, size, fit, channels))
        idle.put(worker)
        _require_success(about, size)
        if tuple(about["shape"][1:]) != shape:
            about = {"error": f"{chunk[0]}: is {about['shape'][2:]}, others are {list(shape[1:])}"}
            _require_success(about, size)
        return np.frombuffer(pixels, np.uint8).reshape(len(chunk), *shape)

    with ExitStack() as stack:
        for _ in range(workers):
            worker = subprocess.Popen(
                [sys.executable, "-I", decoding.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=PIPE,
            )
            stack.callback(_end, worker)
            idle.put(worker)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        waiting: deque[Future] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(decode, chunk))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _ask(worker: subprocess.Popen, request: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    if worker.stdin is None or worker.stdout is None:
        raise ValueError("a decoding process needs pipes")
    worker.stdin.write(json.dumps(request).encode() + b"\n")
    worker.stdin.flush()
    about = json.loads(
        worker.stdout.readline() or b'{"error": "a decoding process died", "bytes": 0}'
    )
    return worker.stdout.read(about["bytes"]), about


def _end(worker: subprocess.Popen) -> None:
    worker.kill()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()
    worker.wait()


def _request(
    files: Sequence[str], size: tuple[int, int] | None, fit: str, channels: int
) -> dict[str, Any]:
    return {"paths": files, "channels": channels, "size": size, "fit": fit or "crop"}


def _require_success(about: dict[str, Any], size: tuple[int, int] | None) -> None:
    if "error" in about:
        advice = "remove the file" if size else "remove the file, or give a size and a fit"
        raise ValueError(
            f"Every picture must be readable and of one size: {about['error']}: {advice}."
        )


def _channels(files: Sequence[str]) -> int:
    """3 if any of up to 64 files, evenly spaced, has colours."""
    image = optional("PIL.Image")
    for path in files[:: -(-len(files) // 64)]:
        try:
            with image.open(path) as picture:
                if picture.mode not in ("1", "L", "LA") and not picture.mode.startswith("I"):
                    return 3
        except (OSError, ValueError):  # decoding it will name the file
            continue
    return 1
