"""A decoding process per core, and the requests that they answer in order, at bounded memory."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, TypeAlias

from isavae.data.own import decoding

Answer: TypeAlias = tuple[bytes, dict[str, Any]]

PIPE = 1 << 20  # bytes that a decoding process may be ahead, where the platform lets us choose
AHEAD = 4  # requests per process that are answered before they are asked for


def decode_all(requests: Sequence[dict[str, Any]]) -> Iterator[Answer]:
    """The answers to `decoding.decode_many` of several requests, in their order.

    Raises:
        ChildProcessError: If a process ends before it has answered.
    """
    processes = min(os.cpu_count() or 1, len(requests))
    idle: SimpleQueue[subprocess.Popen] = SimpleQueue()

    def answer(request: dict[str, Any]) -> Answer:
        process = idle.get()
        try:
            return ask(process, request)
        finally:
            idle.put(process)

    with ExitStack() as stack:
        for _ in range(processes):
            process = start()
            stack.callback(end, process)
            idle.put(process)
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        waiting: deque[Future[Answer]] = deque()
        try:
            for request in requests:
                waiting.append(pool.submit(answer, request))
                if len(waiting) > AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def start() -> subprocess.Popen:
    """A decoding process."""
    return subprocess.Popen(
        [sys.executable, "-I", decoding.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=PIPE,
    )


def ask(process: subprocess.Popen, request: dict[str, Any]) -> Answer:
    """What a decoding process answers.

    Raises:
        ChildProcessError: If it ends before it has answered.
    """
    if process.stdin is None or process.stdout is None:
        raise ValueError("a decoding process needs pipes")
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        about = json.loads(process.stdout.readline())
        pixels = process.stdout.read(about["bytes"])
        if len(pixels) == about["bytes"]:
            return pixels, about
    except (BrokenPipeError, json.JSONDecodeError):
        pass
    first, last = request["paths"][0], request["paths"][-1]
    raise ChildProcessError(
        f"Every process that decodes pictures must live until it has answered, but one ended "
        f"(code {process.wait()}) between {first} and {last}: try again with more memory, or look "
        "at these files."
    )


def end(process: subprocess.Popen) -> None:
    """Stop a decoding process."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:  # what it was being sent when it ended
                continue
    process.wait()
