"""Under which names a page is answered, and which address is this machine's alone."""

import asyncio
from typing import Any

import pytest

from morphospace.apps.serve import guard
from morphospace.apps.serve.guard import Guard


def _ask(checked: Guard, host: str) -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    asyncio.run(checked(scope, receive, send))
    return int(sent[0]["status"])


async def _fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_an_open_host_is_asked_by_its_names_and_by_addresses_only() -> None:
    checked = Guard(_fine, ["Lab-PC.example"], addresses=True)
    for host in ("192.168.1.7:8642", "[fe80::1]:80", "lab-pc.example:8642", "localhost", "LAB-PC.EXAMPLE"):
        assert _ask(checked, host) == 200
    for host in ("evil.example", "192.168.1.7.evil.example", "", "lab-pc.example.evil"):
        assert _ask(checked, host) == 403


def test_its_own_name_is_among_the_names_of_a_machine() -> None:
    import socket

    assert guard.names_of("0.0.0.0")[0] == "0.0.0.0"
    assert socket.gethostname() in guard.names_of("0.0.0.0")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("Localhost", True),
        ("0.0.0.0", False),
        ("lab-pc", False),
    ],
)
def test_loopback(host: str, answer: bool) -> None:
    assert guard.is_loopback(host) is answer


def test_what_is_no_request_passes() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
