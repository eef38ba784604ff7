"""What the bucket is asked, and what a refusal is called. What rclone can answer is asked of rclone."""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from morphospace.apps.cloud import bucket
from morphospace.apps.cloud.bucket import Check
from morphospace.apps.cloud.remote import Remote
from morphospace.apps.cloud.server import Server

REMOTE = Remote("store", "s3://morphospace/dvc", {})


@pytest.fixture(autouse=True)
def _no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine or its user has: variables, profile and home."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in [n for n in os.environ if n.startswith("AWS_") and n != "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no second of waiting for a cloud that is not there
    monkeypatch.setattr(bucket, "TIMEOUT", 1.0)


def _use(s3: Server, monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    for name, value in (s3.environment | changed).items():
        monkeypatch.setenv(name, value)


def _last(remote: Remote = REMOTE, write: bool = True) -> Check:
    return list(bucket.ask(remote, write))[-1]


def test_a_good_bucket_passes_and_keeps_nothing_of_the_question(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch)
    checks = list(bucket.ask(REMOTE))
    assert [(c.name, c.verdict) for c in checks] == [("credentials", "ok"), ("bucket", "ok"), ("write", "ok")]
    assert [p for p in s3.objects.rglob("*") if p.is_file()] == []


def test_read_only_writes_nothing(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch)
    assert _last(write=False)[:2] == ("read", "warn")
    assert list((s3.objects / "morphospace").iterdir()) == []


def test_read_only_reads_what_is_there(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch)
    s3.stop()
    (s3.objects / "morphospace" / "dvc").mkdir()
    (s3.objects / "morphospace" / "dvc" / "plate").write_bytes(b"pixels")
    s3.start()
    assert _last(write=False) == ("read", "ok", "objects can be read")


def test_a_wrong_key_is_not_known(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch, AWS_ACCESS_KEY_ID="AKIANOBODY")
    found = _last()
    assert found[:2] == ("bucket", "fail")
    assert "does not know the access key AKIANOBODY; check AWS_ACCESS_KEY_ID" in found.says


def test_a_wrong_secret_is_told_from_a_wrong_key(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch, AWS_SECRET_ACCESS_KEY="wrong")
    found = _last()
    assert found.verdict == "fail"
    assert f"not that of access key {s3.environment['AWS_ACCESS_KEY_ID']}; check AWS_SECRET_ACCESS_KEY" in found.says
    assert "wrong" not in found.says


def test_a_missing_bucket_says_how_to_name_another(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch)
    found = _last(Remote("store", "s3://elsewhere/dvc", {}))
    assert found.verdict == "fail"
    assert f"no bucket elsewhere at {s3.endpoint}; make it" in found.says
    assert "`dvc remote modify store url s3://BUCKET/dvc`" in found.says


def test_a_server_that_is_down_is_named(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(s3, monkeypatch)
    s3.kill()
    found = _last()
    assert found.verdict == "fail"
    assert f"nothing answers at {s3.endpoint}; is it running (`make s3`)" in found.says


def test_no_credentials_says_where_they_go() -> None:
    (found,) = bucket.ask(REMOTE)
    assert found[:2] == ("credentials", "fail")
    assert "no AWS credentials found; export AWS_ACCESS_KEY_ID" in found.says


def test_half_of_the_credentials_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    assert "credentials are incomplete" in _last().says


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "lab")
    found = _last()
    assert "(lab)" in found.says
    assert "aws configure --profile" in found.says


def test_keys_and_endpoint_may_come_from_a_profile_that_dvc_names(s3: Server, tmp_path: Path) -> None:
    given = s3.environment
    (tmp_path / "config").write_text(
        f"[profile lab]\nendpoint_url = {s3.endpoint}\naws_access_key_id = {given['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {given['AWS_SECRET_ACCESS_KEY']}\n"
    )
    remote = Remote("store", "s3://morphospace/dvc", {"profile": "lab", "configpath": str(tmp_path / "config")})
    assert _last(remote).verdict == "ok"


def test_keys_and_endpoint_may_come_from_dvc_itself(s3: Server) -> None:
    given = s3.environment
    settings = {
        "access_key_id": given["AWS_ACCESS_KEY_ID"],
        "secret_access_key": given["AWS_SECRET_ACCESS_KEY"],
        "endpointurl": s3.endpoint,
        "region": "eu-central-1",
    }
    assert _last(Remote("store", "s3://morphospace/dvc", settings)).verdict == "ok"


def test_a_bucket_that_cannot_be_written_fails_before_the_push(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder of the objects should be: the server lists, but every PUT is refused."""
    _use(s3, monkeypatch)
    s3.stop()
    (s3.objects / "morphospace" / "dvc").write_bytes(b"")
    s3.start()
    found = _last()
    assert found[:2] == ("write", "fail")
    assert "wait and ask again" in found.says or "refused" in found.says


def test_an_endpoint_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio.lab:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    found = _last()
    assert found.verdict == "fail"
    assert "minio.lab:9000" in found.says
    assert "AWS_ENDPOINT_URL" in found.says


# What rclone never answers: the words of AWS, spoken by a web server of the test. The client and the way are real.


class _Aws(http.server.BaseHTTPRequestHandler):
    """Answers as AWS does: `answers` maps a method (or `object`: GET of one) to status, code, body, headers."""

    answers: dict[str, tuple[int, str, str, dict[str, str]]]
    clock = timedelta(0)
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        an_object = self.command == "GET" and "list-type" not in self.path
        status, code, more, headers = self.answers.get("object" if an_object else self.command, (200, "", "", {}))
        body = f"<Error><Code>{code}</Code><Message>m</Message>{more}</Error>" if code else more
        self.send_response_only(status)
        self.send_header("Date", format_datetime(datetime.now(UTC) + self.clock, usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if self.command != "HEAD" else 0))
        self.end_headers()
        self.wfile.write(body.encode() if self.command != "HEAD" else b"")

    do_GET = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Aws]]:
    class Aws(_Aws):
        answers = {}  # noqa: RUF012

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws) as web:
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{web.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield Aws
        web.shutdown()


LISTED = (200, "", "<ListBucketResult></ListBucketResult>", {})


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, "ExpiredToken", "have expired; get new ones"),
        (400, "TokenRefreshRequired", "have expired; get new ones"),
        (400, "InvalidToken", "unset AWS_SESSION_TOKEN"),
        (403, "AccessDenied", "may not do this in bucket morphospace; its policy needs s3:ListBucket"),
        (503, "SlowDown", "wait and ask again"),
        (405, "MethodNotAllowed", "answers, but not as S3"),
        (451, "Unheard", "refused (Unheard: m)"),
    ],
)
def test_what_aws_answers_ends_in_what_to_do(aws: type[_Aws], status: int, code: str, says: str) -> None:
    aws.answers["GET"] = (status, code, "", {})
    found = _last()
    assert found[:2] == ("bucket", "fail")
    assert says in found.says
    assert "\n" not in found.says


@pytest.mark.parametrize(("minutes", "says"), [(-47, "47 minutes fast"), (30, "30 minutes slow")])
def test_a_wrong_clock_says_how_wrong(aws: type[_Aws], minutes: int, says: str) -> None:
    aws.answers["GET"] = (403, "RequestTimeTooSkewed", "", {})
    aws.clock = timedelta(minutes=minutes)
    assert f"the clock of this machine is {says}; set it" in _last().says


@pytest.mark.parametrize(
    ("status", "code", "more", "headers"),
    [
        (301, "PermanentRedirect", "", {"x-amz-bucket-region": "eu-central-1"}),
        (400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>", {}),
        (400, "IllegalLocationConstraintException", "", {"x-amz-bucket-region": "eu-central-1"}),
    ],
)
def test_a_bucket_in_another_region_is_told_which(
    aws: type[_Aws], status: int, code: str, more: str, headers: dict[str, str]
) -> None:
    aws.answers = {"GET": (status, code, more, headers), "HEAD": (status, "", "", headers)}
    found = _last()
    assert found.verdict == "fail"
    assert (
        "bucket morphospace is in region eu-central-1; `dvc remote modify --local store region eu-central-1`"
        in found.says
    )


def test_keys_that_may_not_write_are_told_before_the_push(aws: type[_Aws]) -> None:
    aws.answers = {"GET": LISTED, "PUT": (403, "AccessDenied", "", {})}
    found = _last()
    assert found[:2] == ("write", "fail")
    assert "its policy needs s3:PutObject" in found.says
    assert "--read-only" in found.says


def test_keys_that_may_not_delete_are_a_warning(aws: type[_Aws]) -> None:
    aws.answers = {"GET": LISTED, "DELETE": (403, "AccessDenied", "", {})}
    found = _last()
    assert found[:2] == ("write", "warn")
    assert "s3:DeleteObject" in found.says


def test_keys_that_may_list_but_not_read_fail_read_only(aws: type[_Aws]) -> None:
    listed = "<ListBucketResult><Contents><Key>dvc/a</Key><Size>1</Size></Contents></ListBucketResult>"
    aws.answers = {"GET": (200, "", listed, {}), "object": (403, "AccessDenied", "", {})}
    found = _last(write=False)
    assert found[:2] == ("read", "fail")
    assert "its policy needs s3:GetObject on its objects" in found.says


def test_a_region_that_takes_a_detour_is_a_warning(aws: type[_Aws], monkeypatch: pytest.MonkeyPatch) -> None:
    """The address has to look like one of AWS; the name leads here all the same."""
    port = os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]
    real = socket.getaddrinfo
    here = lambda host, *rest: real("127.0.0.1" if "amazonaws" in str(host) else host, *rest)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://s3.us-east-1.amazonaws.com:{port}")
    aws.answers["GET"] = (*LISTED[:3], {"x-amz-bucket-region": "eu-central-1"})
    found = list(bucket.ask(REMOTE))[1]
    assert found[:2] == ("bucket", "warn")
    assert "is in eu-central-1, not us-east-1: each request takes a detour; `dvc remote modify --local" in found.says


def test_a_page_that_is_not_s3_is_told(aws: type[_Aws]) -> None:
    for status in (200, 404, 502):
        aws.answers["GET"] = (status, "", "<html>welcome", {})
        assert "answers, but not as S3" in _last().says


def test_a_plain_server_asked_for_tls_is_told(aws: type[_Aws], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"].replace("http:", "https:"))
    found = _last()
    assert found.verdict == "fail"
    assert "certificate" in found.says


def test_an_expired_single_sign_on_says_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        "[profile lab]\nsso_start_url = https://lab.awsapps.com/start\nsso_region = eu-central-1\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\nregion = eu-central-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    found = _last()
    assert "single sign-on has expired" in found.says
    assert "`aws sso login`" in found.says
