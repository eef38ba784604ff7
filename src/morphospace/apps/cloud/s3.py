"""The command ``s3``: a bucket on this machine, for those who have none."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from morphospace import places
from morphospace.apps.cloud import remote
from morphospace.apps.cloud.server import Server, default_folder
from morphospace.errors import StorageError

PORT = 9321


def run(
    folder: Annotated[
        Path | None, places.STORE, typer.Option(help="Where objects and keys are kept; in your data folder by default.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1.", min=1, max=65535)] = PORT,
) -> None:
    """Serve the bucket that .dvc/config names, on this machine alone, until Ctrl-C.

    A real S3 server (rclone) that checks keys, for trying out `dvc push` without an account. It prints the lines to
    paste into another terminal. Keys are drawn at random on the first start; objects and keys stay where they are.
    """
    chosen = remote.read()
    if not chosen.is_s3:
        raise StorageError(f"the remote {chosen.name} is {chosen.url}; {chosen.modify('url s3://BUCKET/dvc')} first")
    with _told_to_stop(), Server(folder or default_folder(), chosen.bucket, port) as server:
        typer.echo(
            f"# {chosen.url} is kept in {server.objects}. Paste this into another terminal; Ctrl-C ends it here."
        )
        for name, value in server.environment.items():
            typer.echo(f"export {name}={value}")
        try:
            code = server.wait()
        except KeyboardInterrupt:
            code = 0
    if code:
        raise StorageError(f"the S3 server ended (status {code}); it said why in {server.folder / 'rclone.log'}")


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """End at SIGTERM as at Ctrl-C, so that the server ends too."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
