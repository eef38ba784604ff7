"""What stands before every request: the Host it names, where it comes from, and how much it may send."""

import ipaddress
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 64 * 2**10  # of the body of a request that uploads nothing: a walk along every slider has some hundred
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses what another web site makes a browser ask, bounds every request, and sets the headers of every answer.

    A site can point its own name at this machine (DNS rebinding), but not change the Host header, which then holds its
    name. So a request must name this machine: loopback, one of `names`, or, where `addresses` is true, any address in
    digits, which no one can point elsewhere. The port is not looked at: a tunnel may have another.

    Parameters
    ----------
    app
        What answers.
    names, addresses
        Under which other names than loopback it may be asked.
    uploads
        Most bytes of the body of a request by path; of any other path, `MOST_BYTES`. A longer body is not read
        further, whatever length it declares, and the connection ends.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: Collection[str] = (),
        addresses: bool = False,
        uploads: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self.names = {*LOOPBACK, *(n.lower() for n in names)}
        self.addresses = addresses
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        body = _Body(receive, self.uploads.get(scope["path"], MOST_BYTES))

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        async def answer(message: Message) -> None:
            if not body.too_long:  # what the application makes of a body that was cut is no answer
                await dressed(message)

        if reason := self._refused(Headers(scope=scope)):
            await JSONResponse({"error": reason}, status_code=403)(scope, receive, dressed)
            return
        with suppress(ClientDisconnect):  # whoever hung up awaits no answer
            await self.app(scope, body, answer)
        if body.too_long:
            said = {"error": f"the request is larger than {_size(body.most)}; a crop of one cell is far smaller"}
            await JSONResponse(said, 413, {"Connection": "close"})(scope, receive, dressed)

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


class _Body:
    """The messages of a request's body; one that passes `most` bytes ends as if the client had hung up."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self.most, self._read, self.too_long = receive, most, 0, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read <= self.most:
            return message
        self.too_long = True
        return {"type": "http.disconnect"}


def _size(many: int) -> str:
    return f"{many // 2**20} MB" if many >= 2**20 else f"{many // 2**10} KB"


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
