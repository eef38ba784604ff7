"""A client that sends or reads too slowly is hung up on; one that hangs up itself leaves no traceback."""

import logging
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pages
import pytest
import requests

from morphospace.apps.serve import patience, server
from morphospace.apps.serve.page import Page

SECONDS = 0.3
ENOUGH = 30.0  # for a machine of any speed; waited for only when a test fails


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server impatient."""
    monkeypatch.setattr(patience, "REQUEST_SECONDS", SECONDS)
    monkeypatch.setattr(patience, "ANSWER_SECONDS", SECONDS)


def _connect(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=ENOUGH)


def _head(address: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{path} HTTP/1.1", f"Host: {urlsplit(address).netloc}", *lines, "", ""]).encode()


def _is_hung_up_on(wire: socket.socket) -> bool:
    try:
        while wire.recv(2**16):
            pass
    except ConnectionResetError:
        return True
    return True  # a socket.timeout, which is another OSError, fails the test


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "sent",
    [
        lambda address: b"",
        lambda address: b"GET /api/pa",
        lambda address: _head(address, "GET /", "X-Slow: yes")[:-2],
        lambda address: _head(address, "POST /api/search", "Content-Type: image/png", "Content-Length: 1000") + b"x",
        lambda address: _head(address, "POST /api/walk", "Content-Type: application/json", "Content-Length: 9") + b"{",
    ],
    ids=["nothing", "half a line", "half a head", "half an upload", "half a walk"],
)
def test_a_request_that_does_not_come_is_not_waited_for(page: Page, sent: Callable[[str], bytes]) -> None:
    with pages.served(page) as address, _connect(address) as wire:
        wire.sendall(sent(address))
        assert _is_hung_up_on(wire)
        assert requests.get(f"{address}api/page", timeout=ENOUGH).status_code == 200


@pytest.mark.usefixtures("hasty")
def test_a_second_request_on_a_connection_is_not_waited_for_either(page: Page) -> None:
    with pages.served(page) as address, _connect(address) as wire:
        wire.sendall(_head(address, "GET /static/mark.svg") + b"GET /")
        assert _is_hung_up_on(wire)


def test_an_answer_that_is_not_read_is_given_up(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ANSWER_SECONDS", SECONDS)
    seen: list[patience.Patient] = []
    made = patience.Patient.connection_made

    def remember(self: patience.Patient, transport: object) -> None:
        seen.append(self)
        made(self, transport)

    monkeypatch.setattr(patience.Patient, "connection_made", remember)
    with pages.served(page) as address, socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        place = urlsplit(address)
        wire.connect((str(place.hostname), int(place.port or 0)))
        wire.sendall(_head(address, "GET /static/main.js") * 400)  # pipelined; nothing is read
        ends = time.monotonic() + ENOUGH
        while not seen or not seen[0].transport.is_closing():
            assert time.monotonic() < ends, "still waiting for a client that does not read"
            time.sleep(0.05)


def test_a_patient_client_is_served_request_after_request(page: Page) -> None:
    with pages.served(page) as address, requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{address}api/page", timeout=ENOUGH).status_code == 200


def test_an_upload_that_breaks_off_leaves_no_traceback(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pages.served(page) as address:
        for path, kind in (("search", "image/png"), ("walk", "application/json")):
            with _connect(address) as wire:
                wire.sendall(
                    _head(address, f"POST /api/{path}", f"Content-Type: {kind}", "Content-Length: 1000") + b"x"
                )
            assert requests.get(f"{address}api/page", timeout=ENOUGH).status_code == 200
    assert not caplog.records


def test_one_connection_too_many_is_told_so(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    with pages.served(page) as address:
        held = [_connect(address) for _ in range(3)]
        assert requests.get(f"{address}api/page", timeout=ENOUGH).status_code == 503
        for wire in held:
            wire.close()
