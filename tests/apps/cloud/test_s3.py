"""`morphospace s3` as a person runs it, up to Ctrl-C."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from morphospace.apps.cloud import bucket, remote, s3
from morphospace.apps.cloud.server import Server
from morphospace.errors import StorageError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    shutil.copy2(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _served(port: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the command in a process of its own; yield it and the four lines it prints."""
    command = [sys.executable, "-m", "morphospace", "s3", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, [process.stdout.readline().strip() for _ in range(4)]
        finally:
            process.kill()


def _ended(port: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_lines_are_all_that_is_needed(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    port = _free_port()
    with _served(port) as (process, (first, *exports)):
        assert first.startswith(f"# s3://morphospace/dvc is kept in {tmp_path / 'data' / 'morphospace' / 's3'}")
        for line in exports:
            assert line.startswith("export AWS_")
            monkeypatch.setenv(*line.removeprefix("export ").split("=", 1))
        assert [c.verdict for c in bucket.ask(remote.read())] == ["ok", "ok", "ok"]
        process.send_signal(end)
        assert process.wait(timeout=15) == 0
        assert _ended(port)


def test_a_taken_port_is_refused(here: Path, tmp_path: Path) -> None:
    with (
        Server(tmp_path / "other", "morphospace") as other,
        pytest.raises(StorageError, match=r"make s3. running already"),
    ):
        s3.run(port=other.port)


def test_a_remote_that_is_a_folder_cannot_be_served(here: Path) -> None:
    (here / ".dvc" / "config.local").write_text(
        "[core]\n    remote = share\n['remote \"share\"']\n    url = /mnt/share\n"
    )
    with pytest.raises(StorageError, match="share is /mnt/share; `dvc remote modify share url s3://BUCKET/dvc` first"):
        s3.run()


def test_a_server_that_dies_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(server: Server) -> int:
        server.kill()
        return 9

    monkeypatch.setattr(Server, "wait", dies)
    with pytest.raises(StorageError, match=r"ended \(status 9\); it said why in .*rclone.log"):
        s3.run(port=_free_port())
