"""A port that cannot be had is said before anything is loaded."""

import socket

import pytest

from morphospace.apps.serve import server
from morphospace.errors import InputError


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 is taken.*another --port"):
            server.bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(InputError, match=f"--host {host} is no address of this machine"):
        server.bind(host, 0)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_the_address_is_one_that_a_browser_can_open(host: str, shown: str) -> None:
    with server.bind(host, 0) as bound:
        assert server.url(bound) == f"http://{shown}:{bound.getsockname()[1]}/"


def test_a_port_without_rights_is_named() -> None:
    said = server._reason("127.0.0.1", 80, PermissionError(13, "Permission denied"))
    assert said == "port 80 needs rights that you do not have; give a --port of 1024 or more"
