"""Connections that cannot be held without asking, and errors of accepting them, reported once."""

import asyncio
import sys
from typing import Any, final

from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds for the header of a request to arrive.
HEADER_SECONDS = 10.0
# Connections at a time, where as many files may be open twice; beyond, the one that has waited
# longest for a header is closed.
MOST_CONNECTIONS = 512


@final
class BoundedConnection(H11Protocol):
    """A connection that is closed if the header of its request does not arrive in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        waiting = [each for each in self.connections if isinstance(each, BoundedConnection)]
        waiting = [each for each in waiting if each._deadline is not None]
        if waiting and len(self.connections) >= most_connections():
            min(waiting, key=BoundedConnection._due)._give_up()
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Begin to wait where no request is in progress, and end where one is."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Close, and be counted no more: `connection_lost` follows a round later."""
        self._forget()
        self.connections.discard(self)
        self.transport.abort()

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _due(self) -> float:
        return self._deadline.when() if self._deadline else 0.0


def most_connections() -> int:
    """Connections at a time: at most half of the files that may be open."""
    return min(MOST_CONNECTIONS, _most_files() // 2)


def accepted_at_once() -> int:
    """Connections to accept before those beyond the bound are closed, which takes three rounds."""
    return max(1, min(100, _most_files() // 16))


def _most_files() -> int:
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows
        return 2 * MOST_CONNECTIONS
    soft = getrlimit(RLIMIT_NOFILE)[0]
    return soft if soft >= 0 else 2 * MOST_CONNECTIONS  # no limit is -1


@final
class AcceptErrors:
    """A handler of an event loop's errors that reports a lack of file descriptors once."""

    def __init__(self):
        self._told = False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = context.get("message", "")
        if "_start_serving" in message:  # it was to accept again, but the server has ended
            return
        if "accept" not in message:
            loop.default_exception_handler(context)
        elif not self._told:
            self._told = True
            print(
                f"warning: a connection could not be accepted ({context.get('exception')}): too "
                "many are open; others wait",
                file=sys.stderr,
            )
