"""What DVC is told of the bucket: ``.dvc/config`` and ``.dvc/config.local`` merged as DVC merges them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from morphospace.errors import StorageError

SECRETS = ("access_key_id", "secret_access_key", "session_token")


@dataclass(frozen=True)
class Remote:
    """DVC's default remote."""

    name: str
    url: str
    settings: Mapping[str, Any]  # profile, region, endpointurl, verify …, in DVC's words

    @property
    def is_s3(self) -> bool:
        """Whether it is a bucket that speaks S3."""
        return self.url.startswith("s3://")

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.url.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """Folder inside the bucket, which ends in ``/`` unless it is empty."""
        path = self.url.removeprefix("s3://").partition("/")[2].strip("/")
        return f"{path}/" if path else ""

    def modify(self, setting: str, local: bool = False) -> str:
        """Return the line to type that changes a setting."""
        return f"`dvc remote modify {'--local ' if local else ''}{self.name} {setting}`"


def read(root: Path = Path(), name: str = "") -> Remote:
    """Return a remote of the repository at `root`: the default one, unless it is named.

    Raises
    ------
    StorageError
        When this is no DVC repository, there is no such remote, or DVC refuses its configuration.
    """
    from dvc.config import ConfigError
    from dvc.fs import get_cloud_fs

    config = _config(root)
    name = name or config["core"].get("remote", "")
    if not name:
        raise StorageError("DVC has no default remote; `dvc remote add -d store s3://BUCKET/dvc`")
    try:
        kind, settings, path = get_cloud_fs(config, name=name)
    except ConfigError as error:
        raise StorageError(f"DVC refuses .dvc/config: {_line(error)}") from None
    return Remote(name, f"s3://{path}" if kind.protocol == "s3" else path, settings)


def committed_secrets(root: Path = Path()) -> list[str]:
    """Return the secrets that ``.dvc/config`` holds, which git publishes, as ``remote.setting``."""
    remotes = _config(root).load_one("repo")["remote"]
    return [f"{name}.{key}" for name, given in remotes.items() for key in SECRETS if key in given]


def cache(root: Path = Path()) -> Path:
    """Return the folder of DVC's cache, which need not exist yet."""
    return Path(_config(root)["cache"].get("dir") or root / ".dvc" / "cache")


def _config(root: Path) -> Any:
    """Return DVC's configuration, all levels merged."""
    from dvc.config import Config, ConfigError

    if not (root / ".dvc").is_dir():
        raise StorageError(f"{root.absolute()} is no DVC repository; run from the root of the repository")
    try:
        return Config(str((root / ".dvc").absolute()))
    except ConfigError as error:
        raise StorageError(f"DVC refuses .dvc/config: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
