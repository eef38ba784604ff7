"""What stands before every request: the Host it names, where it comes from, and how much it may send."""

import ipaddress
import socket
from collections.abc import Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class TooLargeError(Exception):
    """A request sends more than it may."""


class Guard:
    """Refuses what another web site makes a browser ask of this server, and sets the headers of every answer.

    A site can point its own name at this machine (DNS rebinding), but not change the Host header, which then holds its
    name. So a request must name this machine: loopback, one of `names`, or, where `addresses` is true, any address in
    digits, which no one can point elsewhere. The port is not looked at: a tunnel may have another.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = (), addresses: bool = False) -> None:
        self.app = app
        self.names = {*LOOPBACK, *(n.lower() for n in names)}
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if reason := self._refused(Headers(scope=scope)):
            await JSONResponse({"error": reason}, status_code=403)(scope, receive, dressed)
        else:
            await self.app(scope, receive, dressed)

    def _refused(self, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._ours(host):
            return "this page answers under the address that `morphospace serve` printed, and no other"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return "another web site asked"
        return ""

    def _ours(self, host: str) -> bool:
        name = _without_port(host)
        return name in self.names or (self.addresses and _is_address(name))


def names_of(host: str) -> list[str]:
    """Return the names under which a machine that listens on `host` is asked: its own, and `host`."""
    return [host, socket.gethostname(), socket.getfqdn()]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


async def read(request: Request, most: int) -> bytes:
    """Return the body of a request, and stop reading where it passes `most` bytes, whatever it declares.

    Raises
    ------
    TooLargeError
        When it is longer.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise TooLargeError
    return bytes(content)


def _without_port(host: str) -> str:
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name.lower() if closed else ""
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
