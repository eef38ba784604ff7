"""The server on a port: bound before anything is promised, ended by Ctrl-C."""

import errno
import socket
from collections.abc import Callable
from typing import Any

from morphospace.errors import InputError

CONNECTIONS = 200  # at a time; a browser opens six. One more is answered with 503


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that holds an address of this machine; port 0 takes a free one.

    Raises
    ------
    InputError
        When the port is taken or not allowed, or the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"--host {host} is no address of this machine ({error.strerror})") from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise InputError(_reason(host, port, error)) from None
    return bound


class Server:
    """A server on a bound socket; `ready` is called when it answers."""

    def __init__(self, app: Any, bound: socket.socket, ready: Callable[[], None]) -> None:
        import uvicorn

        from morphospace.apps.serve.patience import Patient

        class Announcing(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready()

        self._bound = bound
        self._server = Announcing(
            uvicorn.Config(
                app,
                http=Patient,
                log_level="warning",
                lifespan="off",
                ws="none",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=2,
            )
        )

    def run(self) -> None:
        """Serve until Ctrl-C, or until another thread calls `stop`."""
        try:
            self._server.run(sockets=[self._bound])
        except KeyboardInterrupt:  # uvicorn raises it again once it has ended well
            return
        finally:
            self._bound.close()

    def stop(self) -> None:
        """Make `run` return."""
        self._server.should_exit = True


def url(bound: socket.socket) -> str:
    """Return the address that a browser on this machine opens."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken, perhaps by another page; end that one, or give another --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that you do not have; give a --port of 1024 or more"
    return f"--host {host} is no address of this machine ({error.strerror})"
