"""The server: the page's files, its API, the guard around both, on a socket of this machine."""

import asyncio
import contextlib
import mimetypes
import secrets
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan

from isavae.errors import printable
from isavae.explorer.api import Api
from isavae.explorer.behind import NOTHING_BETWEEN, Behind
from isavae.explorer.connection import AcceptErrors, BoundedConnection, accepted_at_once
from isavae.explorer.guard import FORWARD, LOOPBACK, OPENED, PARAMETER, Guard
from isavae.explorer.library import Images
from isavae.explorer.sources import open_source

# Seconds for requests to end when the server does, and for the answers that they were cut short.
ENDING_SECONDS = 1.0
# Connections that may wait to be accepted.
WAITING = 1024


def build_app(
    path: Path,
    token: str,
    host: str,
    port: int,
    data: Images | None = None,
    lifespan: Lifespan[Starlette] | None = None,
    behind: Behind = NOTHING_BETWEEN,
) -> ASGIApp:
    """The whole application for a run, a model file, a folder of `isavae fit` or a study.

    Args:
        path: What to show.
        token: The token that a request must carry.
        host: The address that the server is bound to.
        port: Its port.
        data: A data set, a path, an array or an `ImageDataset` instead of the images that a model
            was trained on.
        lifespan: What runs when the server starts and when it ends.
        behind: Where a proxy or a tunnel shows it.

    Raises:
        ValueError: If there is nothing to show at that path.
    """
    routes = [*page_routes(), *Api(open_source(path, data)).routes()]
    return Guard(Starlette(routes=routes, lifespan=lifespan), token, host, port, behind)


def page_routes() -> list[Route]:
    """One route per file of the page, read once: no request ever names a file."""
    folder = resources.files("isavae.explorer") / "static"
    return [
        Route("/" if file.name == "index.html" else f"/{file.name}", _file_endpoint(file))
        for file in folder.iterdir()
    ]


def _file_endpoint(file: Traversable) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()
    # Registered types of scripts differ between machines, and browsers run no other.
    kind = "text/javascript" if file.name.endswith(".js") else mimetypes.guess_type(file.name)[0]

    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


def serve(
    path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = True,
    data: Images | None = None,
    base_path: str = "",
    allow_host: Sequence[str] = (),
) -> None:
    """Show a run, a model or a study on a local web page until interrupted.

    Args:
        path: A run directory, a model file, a folder of `isavae fit` or a study directory.
        host: The address to listen on; anything but a loopback address lets others in.
        port: The port; 0 takes a free one.
        browser: Whether to open the page in the browser.
        data: A data set, a path, an array or an `ImageDataset` instead of the images that a model
            was trained on.
        base_path: The path below which a proxy shows the page, such as "/proxy/8000".
        allow_host: Names under which a proxy or a tunnel shows it, with their ports where the
            browser shows one: "hub.example.org", "localhost:9000".

    Raises:
        ValueError: If there is nothing to show, or the address cannot be listened on.
    """
    behind = Behind.parse(base_path, allow_host)
    listener = listen(host, port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    with listener:
        name = f"[{host}]" if ":" in host else host
        here = f"{behind.base}/?{PARAMETER}={token}"
        url = f"http://{name}:{port}{here}"
        if host not in LOOPBACK:
            print(
                f"warning: {host} can be reached by others; whoever holds the address below can "
                "see the run and its images, and the connection is not encrypted",
                file=sys.stderr,
            )

        # The address is printed by the running server, which already handles an interrupt.
        @contextlib.asynccontextmanager
        async def announce(_: Starlette) -> AsyncIterator[None]:
            asyncio.get_running_loop().set_exception_handler(AcceptErrors())
            shown = printable(str(path))
            print(f"{shown}: open {url}", *(f"or {each}{here}" for each in behind.hosts), sep="\n")
            print("(ends with Ctrl-C)", flush=True)
            with opened(url) if browser else contextlib.nullcontext():
                yield

        with contextlib.suppress(KeyboardInterrupt):
            build_server(build_app(path, token, host, port, data, announce, behind)).run([listener])


def build_server(app: ASGIApp) -> uvicorn.Server:
    """The server of an application, with bounded connections."""
    return _Server(
        uvicorn.Config(
            app,
            http=BoundedConnection,
            backlog=accepted_at_once(),
            log_level="warning",
            access_log=False,
        )
    )


@final
class _Server(uvicorn.Server):
    """A server that many connections may wait for, and that ends soon while it is asked.

    uvicorn's own limit of the time to end prints requests that are cut short as an error.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(WAITING)  # uvicorn lets as many wait as it accepts at once

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cutting = asyncio.create_task(self._cut_short())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_short(self) -> None:
        """Let requests end, then cut them short, then close the connections that remain."""
        await asyncio.sleep(ENDING_SECONDS)
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.sleep(ENDING_SECONDS)
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedConnection):
                connection.transport.abort()


@contextlib.contextmanager
def opened(url: str) -> Iterator[None]:
    """Open an address in the browser, through a file that only this user can read.

    Other users can read the arguments of the browser, but not the token in the file.
    """
    with tempfile.TemporaryDirectory(prefix="isavae-") as folder:
        page = Path(folder, "explore.html")
        page.touch(0o600)
        page.write_text(FORWARD.format(url=f"{url}&{OPENED}"))
        webbrowser.open(page.as_uri())
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free one.

    Raises:
        ValueError: If the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send small packets at once; else every decoded
    # image waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(WAITING)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(
            f"the address must be free and this machine's; {host}:{port} is not ({error}): "
            "choose another --host or --port"
        ) from None
    return listener
