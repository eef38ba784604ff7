"""The S3 server of `make s3`: a real one, so these start it."""

import socket
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from morphospace.apps.cloud import server
from morphospace.apps.cloud.server import Server
from morphospace.errors import StorageError


def _client(s3: Server, secret: str = "") -> Any:
    given = s3.environment
    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or given["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 0}),
    )


def test_the_server_keeps_objects_as_plain_files_in_its_bucket(s3: Server) -> None:
    _client(s3).put_object(Bucket="morphospace", Key="a/b", Body=b"plate")
    assert (s3.objects / "morphospace" / "a" / "b").read_bytes() == b"plate"


def test_the_server_refuses_a_wrong_secret(s3: Server) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        _client(s3, "0" * 40).list_objects_v2(Bucket="morphospace")


def test_keys_are_random_readable_by_the_owner_alone_and_not_on_the_command_line(s3: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other", "morphospace").environment
    mine = s3.environment
    assert mine["AWS_SECRET_ACCESS_KEY"] != other["AWS_SECRET_ACCESS_KEY"]
    assert stat.S_IMODE((s3.folder / "credentials").stat().st_mode) == 0o600
    assert s3.process is not None
    shown = Path(f"/proc/{s3.process.pid}/cmdline").read_text()
    assert mine["AWS_SECRET_ACCESS_KEY"] not in shown


def test_killed_and_started_again_it_has_the_same_address_keys_and_objects(s3: Server) -> None:
    _client(s3).put_object(Bucket="morphospace", Key="a", Body=b"1")
    before = s3.environment
    s3.kill()
    s3.start()
    assert s3.environment == before
    assert _client(s3).get_object(Bucket="morphospace", Key="a")["Body"].read() == b"1"


def test_a_taken_port_is_named(s3: Server, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"port {s3.port} .*in use.*--port {s3.port + 1}"):
        Server(tmp_path / "second", "morphospace", s3.port).start()


def test_the_users_own_settings_of_rclone_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_DIR_CACHE_TIME", "nonsense")
    with Server(tmp_path, "morphospace") as started:
        assert started.process is not None


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "rclone"
    fake.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(server, "_program", lambda: str(fake))
    with pytest.raises(StorageError, match=r"did not start; .*rclone said: no such thing"):
        Server(tmp_path / "s3", "morphospace").start()


def test_a_missing_rclone_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match="make env"):
        Server(tmp_path / "s3", "morphospace").start()


def test_a_spoilt_file_of_keys_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\n")
    with pytest.raises(StorageError, match="credentials holds no keys; delete it"):
        Server(tmp_path, "morphospace").start()


def test_the_port_is_free_again_after_stop(tmp_path: Path) -> None:
    with Server(tmp_path, "morphospace") as started:
        port = started.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((server.HOST, port))


def test_the_store_lies_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert server.default_folder() == Path("/somewhere/morphospace/s3")


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    for name in ("config", "credentials"):  # as in ~/.aws
        (tmp_path / name).write_text("mine")
    with pytest.raises(StorageError, match=r"holds something else than a bucket \(config\); name a new --folder"):
        Server(tmp_path, "morphospace").start()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"config": "mine", "credentials": "mine"}
