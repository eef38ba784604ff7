"""Asks a bucket, once and with a short time-out, whether a push or a pull can succeed."""

import os
import secrets
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from morphospace.apps.cloud import mistakes
from morphospace.apps.cloud.remote import Remote

TIMEOUT = 5.0  # seconds, to connect and to answer
# Files that DVC's settings can name, unless these variables do.
_FILES = {
    "credentialpath": ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file"),
    "configpath": ("AWS_CONFIG_FILE", "config_file"),
}
Verdict = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One thing looked at: its name, what was found, and what to do unless all is well."""

    name: str
    verdict: Verdict
    says: str


class Asked(NamedTuple):
    """A remote and the way to it."""

    remote: Remote
    session: Any
    client: Any


def ask(remote: Remote, write: bool = True) -> Iterator[Check]:
    """Yield what the bucket says to credentials, to a listing, to a reading and, if `write`, to a writing.

    The first failure ends it: what follows would fail alike. The object written is some bytes, and deleted at once.
    """
    steps = {"credentials": _credentials, "bucket": _list, "write" if write else "read": _write if write else _read}
    asked = None
    for name, step in steps.items():
        try:
            asked = asked or connect(remote)
            yield step(asked)
        except (BotoCoreError, ClientError, ValueError) as error:
            endpoint = asked.client.meta.endpoint_url if asked else ""
            key = asked.session.get_credentials().access_key if asked and name != "credentials" else ""
            yield Check(name, "fail", mistakes.explain(error, remote, endpoint, key, name))
            return


def connect(remote: Remote) -> Asked:
    """Make a client that finds keys, region and endpoint as DVC does, but gives up soon."""
    given = remote.settings
    inner = botocore.session.Session(profile=given.get("profile"))
    for setting, (name, variable) in _FILES.items():
        if given.get(setting) and not os.environ.get(name):
            inner.set_config_variable(variable, given[setting])
    session = boto3.Session(
        aws_access_key_id=given.get("access_key_id"),
        aws_secret_access_key=given.get("secret_access_key"),
        aws_session_token=given.get("session_token"),
        region_name=given.get("region"),
        botocore_session=inner,
    )
    client = session.client(
        "s3",
        endpoint_url=given.get("endpointurl"),
        use_ssl=given.get("use_ssl", True),
        verify=given.get("ssl_verify"),
        config=Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1}),
    )
    return Asked(remote, session, client)


def _credentials(asked: Asked) -> Check:
    found = asked.session.get_credentials()
    if found is None:
        raise NoCredentialsError
    where = {"env": "environment", "explicit": "DVC's configuration"}.get(found.method, found.method)
    return Check("credentials", "ok", f"access key {found.access_key}, from: {where}")


def _list(asked: Asked) -> Check:
    """List one object: DVC lists, and unlike HEAD a listing that fails says why."""
    remote, client = asked.remote, asked.client
    answer = client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.prefix, MaxKeys=1)
    at, here = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"), asked.session.region_name
    if at and here and at != here and "amazonaws" in client.meta.endpoint_url:
        line = remote.modify(f"region {at}", local=True)
        return Check("bucket", "warn", f"{remote.bucket} is in {at}, not {here}: each request takes a detour; {line}")
    return Check("bucket", "ok", f"{remote.url} at {client.meta.endpoint_url} answers")


def _read(asked: Asked) -> Check:
    """Ask for the first object there is."""
    remote, client = asked.remote, asked.client
    first = client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.prefix, MaxKeys=1).get("Contents")
    if not first:
        return Check("read", "warn", f"{remote.url} is empty; there is nothing to pull before somebody's `dvc push`")
    client.get_object(Bucket=remote.bucket, Key=first[0]["Key"])["Body"].close()
    return Check("read", "ok", "objects can be read")


def _write(asked: Asked) -> Check:
    """Put, get and delete a small object."""
    place = {"Bucket": asked.remote.bucket, "Key": f"{asked.remote.prefix}doctor-{secrets.token_hex(8)}"}
    asked.client.put_object(**place, Body=b"morphospace doctor; may be deleted\n")
    try:
        asked.client.get_object(**place)["Body"].read()
    finally:
        refused = _delete(asked.client, place)
    if refused:
        says = f"objects can be written but not deleted ({refused}), and {place['Key']} stays; "
        return Check("write", "warn", says + "`dvc gc -c` needs s3:DeleteObject")
    return Check("write", "ok", "objects can be written, read and deleted")


def _delete(client: Any, place: dict[str, str]) -> str:
    """Delete an object; return why that was refused, or nothing."""
    try:
        client.delete_object(**place)
    except ClientError as error:
        return str(error.response["Error"].get("Code"))
    return ""
