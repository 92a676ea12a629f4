"""A function applied to many items by all cores, and what they may take together."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar, final

# Results per thread that may be ahead of the consumer, and their bytes in all.
AHEAD, MOST_AHEAD = 4, 1 << 28

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Sequence[T], size: int = 1) -> Iterator[R]:
    """Results in order, by a thread per core, few of them ahead of those that are taken.

    Args:
        function: Makes a result of an item.
        items: The items.
        size: Bytes of a result.
    """
    threads = os.cpu_count() or 1
    ahead = min(AHEAD * threads, MOST_AHEAD // size)
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@final
class Budget:
    """What threads may take together; who wants more than is left waits for the others.

    Args:
        most: The amount in all.
    """

    def __init__(self, most: int):
        self._most, self._taken, self._changed = most, 0, Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Take an amount, at most all there is, for the duration of the block."""
        amount = min(amount, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + amount <= self._most)
            self._taken += amount
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()
