"""Access control: a valid token, our host, the page's own origin, bounded bodies."""

import ipaddress
import secrets
import socket
from asyncio import CancelledError
from typing import final
from urllib.parse import urlsplit

from anyio import fail_after, move_on_after
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isavae.explorer.behind import NOTHING_BETWEEN, Behind

LARGEST_BODY = 16 << 20
BODY_SECONDS = 30.0
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The parameter of the token: proxies such as Jupyter's read `token` as their own.
PARAMETER = "isavae-token"
# The parameter of the address that is opened from a file.
OPENED = "opened"
# A page that leads to another one.
FORWARD = '<!doctype html><meta charset=utf-8><meta http-equiv=refresh content="0; url={url}">'
_REFUSED = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>isavae</title>"
    "<p>This page needs its token: open the address that <code>isavae explore</code> printed."
)


@final
class Guard:
    """Middleware around the whole application.

    A request must name a host that we are (against DNS rebinding); if it names an origin, the
    page's own (against other sites); and hold the token: as `?isavae-token=` once, which becomes a
    cookie of this site only, or as `Authorization: Bearer`. Its body is bounded in size and time.

    Args:
        app: The application to protect.
        token: The secret of this server process.
        host: The address that the server is bound to.
        port: Its port; part of the cookie's name, since cookies ignore ports.
        behind: Where a proxy or a tunnel shows it.
    """

    def __init__(
        self, app: ASGIApp, token: str, host: str, port: int, behind: Behind = NOTHING_BETWEEN
    ):
        self._app, self._token, self._host, self._port = app, token, host, port
        self._cookie, self._behind = f"isavae-{port}", behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            send, scope = _with_headers(send), self._behind.below(scope)
            try:
                await self._answer(scope, receive, send)
            except CancelledError:  # the server ends
                await _refuse(503, "isavae explore has ended: start it again")(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = self._refusal(request)
        if response is None:
            try:
                receive = await _whole_body(request)
            except ClientDisconnect:
                return
            except TimeoutError:
                response = _refuse(408, "a body must arrive in time; this one did not")
            except ValueError as error:
                await _answer_and_drain(_refuse(413, str(error)), scope, receive, send)
                return
        await (response or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host, origins = request.headers.get("host", ""), request.headers.getlist("origin")
        if not self._is_us(host):
            return _refuse(
                421,
                "the Host must be the address that was printed; it is another: open that one, "
                "or name yours with --allow-host",
            )
        if not {*origins} <= self._origins(host):
            return _refuse(403, "a request must come from the page itself; it came from elsewhere")
        given = request.query_params.get(PARAMETER)
        if given is not None and request.method == "GET" and self._matches(given):
            return self._welcome(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._matches(request.cookies.get(self._cookie, "")) or self._matches(bearer):
            return None
        if request.url.path == "/":
            return HTMLResponse(_REFUSED, 403)
        return _refuse(403, "the token is missing or wrong: open the address that was printed")

    def _welcome(self, request: Request) -> Response:
        """Keep the token in a cookie and take it out of the address (the fragment stays).

        A browser sends the cookie to the page only if a page of ours leads there: a redirection
        from a file, such as `serve` opens, would not do.
        """
        home = "../" * (request.url.path.count("/") - 1) or "./"  # proxies rewrite other addresses
        response: Response = RedirectResponse(home, 303)
        if OPENED in request.query_params:
            response = HTMLResponse(FORWARD.format(url=home))
        path = f"{self._behind.base}/"
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path=path)
        return response

    def _matches(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _origins(self, host: str) -> set[str]:
        """The page's own origins; a proxy may encrypt."""
        is_behind = host.lower() in self._behind.hosts
        return {f"http://{host}", *([f"https://{host}"] if is_behind else [])}

    def _is_us(self, host: str) -> bool:
        """Whether a Host header names us; a name that only DNS ties to us does not."""
        if host.lower() in self._behind.hosts:
            return True
        if {*host} & {*"@/?#\\"}:  # of an address, more than its host
            return False
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self._port:
            return False
        if not _is_wildcard(self._host):
            return name in {self._host, *(LOOPBACK if self._host in LOOPBACK else ())}
        return name in {"localhost", socket.gethostname().lower()} or _is_address(name)


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers={"Connection": "close"})


async def _answer_and_drain(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body has arrived, and discard the rest of it within the time of a body.

    A client that still sends when the connection is closed sees a reset instead of the answer.
    """

    async def keep_open(message: Message) -> None:
        await send({**message, "more_body": True} if "body" in message else message)

    await response(scope, receive, keep_open)
    with move_on_after(BODY_SECONDS):
        while (await receive()).get("more_body", False):
            continue
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _whole_body(request: Request) -> Receive:
    """The body, read within bounds, as a channel that hands it on.

    Raises:
        ValueError: If the body is too large.
        TimeoutError: If it takes too long.
    """
    announced = request.headers.get("content-length", "0")
    body = bytearray()
    if int(announced) <= LARGEST_BODY:  # the HTTP parser lets digits through only
        with fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    break
    if max(len(body), int(announced)) > LARGEST_BODY:
        raise ValueError(f"a body may have {LARGEST_BODY:,} bytes; this one has more")
    messages: list[Message] = [
        {"type": "http.request", "body": bytes(body), "more_body": False},
    ]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return receive


def _with_headers(send: Send) -> Send:
    """A channel that adds the security headers to every response."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
