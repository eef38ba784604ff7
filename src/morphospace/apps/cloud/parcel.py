"""What goes to a rented machine and what comes back, by the bucket: no key of git ever leaves this one."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from morphospace.errors import RentalError


class Run(NamedTuple):
    """A run in the bucket: ``runs/NAME/``."""

    s3: Any
    bucket: str
    name: str

    def key(self, file: str) -> str:
        """Return the key of a file of this run."""
        return f"runs/{self.name}/{file}"

    def read(self, file: str) -> bytes | None:
        """Return the content of a file, or None when there is none."""
        try:
            content: bytes = self.s3.get_object(Bucket=self.bucket, Key=self.key(file))["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        except (BotoCoreError, ClientError) as error:
            raise RentalError(f"{self.key(file)} cannot be read: {error}; run `morphospace doctor`") from None
        return content


def send(run: Run, settings: Sequence[str], root: Path = Path()) -> None:
    """Put the commit of `root` and the settings where the machine reads them, and let an ended run begin again."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "code.bundle"
        git(root, "bundle", "create", "-q", str(bundle), "HEAD")
        content = bundle.read_bytes()
    try:
        run.s3.put_object(Bucket=run.bucket, Key=run.key("code/code.bundle"), Body=content)
        lines = "".join(f"{setting}\n" for setting in settings)
        run.s3.put_object(Bucket=run.bucket, Key=run.key("code/settings"), Body=lines.encode())
        run.s3.delete_object(Bucket=run.bucket, Key=run.key("ended"))
    except (BotoCoreError, ClientError) as error:
        raise RentalError(f"{run.key('code')} cannot be written: {error}; run `morphospace doctor`") from None


def fetch(run: Run, root: Path = Path()) -> str:
    """Bring the experiment of a run that ended well into the repository at `root`; return its git revision.

    Raises
    ------
    RentalError
        When the run is unknown, still running, or ended badly; then with the last lines of its log.
    """
    ended, log = run.read("ended"), (run.read("log.txt") or b"").decode(errors="replace").strip()
    if ended is None and not log:
        raise RentalError(f"the bucket {run.bucket} knows no run {run.name!r}")
    tail = "\n".join(log.splitlines()[-15:])
    if ended is None:
        raise RentalError(f"{run.name} has not ended, or its machine was taken away; its log so far ends with\n{tail}")
    if ended.strip() != b"0":
        raise RentalError(f"{run.name} ended with code {ended.decode().strip()}; its log ends with\n{tail}")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "experiment.bundle"
        bundle.write_bytes(run.read("experiment.bundle") or b"")
        # With +: a run of the same name replaces what was fetched of it before.
        git(root, "fetch", "-q", str(bundle), f"+refs/exps/*/{run.name}:refs/exps/*/{run.name}")
    return git(root, "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{run.name}").split()[-1]


def git(root: Path, *arguments: str) -> str:
    """Return what git says.

    Raises
    ------
    RentalError
        With git's own last line when it fails.
    """
    out = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if out.returncode:
        said = [line for line in out.stderr.splitlines() if line.strip()] or ["no message"]
        raise RentalError(f"`git {arguments[0]}` failed: {said[-1]}")
    return out.stdout
