"""HTTP with an end: a client that sends or reads too slowly is hung up on, so that it holds no memory for good."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 60.0  # for a request to arrive whole: 8 MB over a slow tunnel
ANSWER_SECONDS = 120.0  # from there until the client has read the answer


class Patient(H11Protocol):
    """uvicorn's HTTP/1.1, whose own time-out counts between two requests only.

    `REQUEST_SECONDS` run from the opening of a connection, or the first byte of a further request, until the request
    is there, its body included; `ANSWER_SECONDS` from there until the answer has left this machine.
    """

    _timer: asyncio.TimerHandle | None = None
    _answering = False

    def connection_made(self, transport: Any) -> None:
        """Start to wait for a request."""
        super().connection_made(transport)
        self._wait(REQUEST_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Take what came, and wait for the rest of the request, or for its answer."""
        if self._timer is None:
            self._wait(REQUEST_SECONDS)
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Wait until the client has read the answer."""
        self._answering = False
        self._wait(ANSWER_SECONDS if self.transport.get_write_buffer_size() else None)
        super().on_response_complete()  # may begin with a request that came meanwhile
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait(None)
        super().connection_lost(exc)

    def _follow(self) -> None:
        """Count the seconds of the answer from the moment when the request is whole."""
        whole = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if whole and not self._answering:
            self._answering = True
            self._wait(ANSWER_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
