"""A parcel through a real S3 server: the commit and the settings there, the experiment back."""

import subprocess
from pathlib import Path

import boto3
import pytest

from morphospace.apps.cloud import parcel
from morphospace.apps.cloud.parcel import Run
from morphospace.apps.cloud.server import Server
from morphospace.errors import RentalError

WHO = ["-c", "user.name=a", "-c", "user.email=a@b.c"]


@pytest.fixture
def run(s3: Server) -> Run:
    given = s3.environment
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )
    return Run(client, s3.bucket, "wide")


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """A repository of one commit, whose address holds a token."""
    root = tmp_path / "laptop"
    root.mkdir()
    (root / "params.yaml").write_text("z_dim: 75\n")
    for command in (["init", "-q"], ["add", "-A"], [*WHO, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    parcel.git(root, "remote", "add", "origin", "https://secret-token@localhost/repo")
    return root


def _put(run: Run, file: str, content: bytes) -> None:
    run.s3.put_object(Bucket=run.bucket, Key=run.key(file), Body=content)


def test_the_machine_gets_the_commit_and_the_settings_and_no_token(
    run: Run, laptop: Path, s3: Server, tmp_path: Path
) -> None:
    parcel.send(run, ["z_dim=150", "train.r_loss_factor=elbo"], laptop)
    code = s3.objects / s3.bucket / "runs" / "wide" / "code"
    assert (code / "settings").read_text() == "z_dim=150\ntrain.r_loss_factor=elbo\n"
    clone = tmp_path / "machine"
    subprocess.run(["git", "clone", "-q", str(code / "code.bundle"), str(clone)], check=True)
    assert parcel.git(clone, "rev-parse", "HEAD") == parcel.git(laptop, "rev-parse", "HEAD")
    assert not any(b"secret-token" in path.read_bytes() for path in clone.rglob("*") if path.is_file())


def test_a_run_that_ended_may_begin_again(run: Run, laptop: Path) -> None:
    _put(run, "ended", b"124\n")
    parcel.send(run, [], laptop)
    assert run.read("ended") is None


def test_an_experiment_comes_back_under_its_name_and_again_replaces_the_first(run: Run, laptop: Path) -> None:
    head = parcel.git(laptop, "rev-parse", "HEAD").strip()
    _put(run, "ended", b"0\n")
    for content in ("150", "300"):
        made = parcel.git(laptop, *WHO, "commit-tree", f"{head}^{{tree}}", "-p", head, "-m", content).strip()
        name = f"refs/exps/{head[:2]}/{head[2:]}/wide"
        parcel.git(laptop, "update-ref", name, made)
        bundle = laptop.parent / "experiment.bundle"
        parcel.git(laptop, "bundle", "create", "-q", str(bundle), f"HEAD..{name}")
        parcel.git(laptop, "update-ref", "-d", name)
        _put(run, "experiment.bundle", bundle.read_bytes())
        assert parcel.fetch(run, laptop) == made
        assert parcel.git(laptop, "rev-parse", name).strip() == made


def test_a_run_that_nobody_started_is_unknown(run: Run, laptop: Path) -> None:
    with pytest.raises(RentalError, match="the bucket morphospace knows no run 'wide'"):
        parcel.fetch(run, laptop)


def test_a_run_that_goes_on_shows_its_log(run: Run, laptop: Path) -> None:
    _put(run, "log.txt", b"epoch 7 of 50\n")
    with pytest.raises(RentalError, match=r"has not ended, or .*\nepoch 7 of 50"):
        parcel.fetch(run, laptop)


def test_a_run_that_failed_shows_its_log(run: Run, laptop: Path) -> None:
    _put(run, "log.txt", b"the loss is no longer finite\n")
    _put(run, "ended", b"1\n")
    with pytest.raises(RentalError, match=r"wide ended with code 1; .*\nthe loss is no longer finite"):
        parcel.fetch(run, laptop)


def test_a_bucket_that_went_away_is_named(run: Run, laptop: Path) -> None:
    with pytest.raises(RentalError, match=r"cannot be written: .*run `morphospace doctor`"):
        parcel.send(run._replace(bucket="gone"), [], laptop)


def test_a_secret_that_is_wrong_is_named(run: Run, s3: Server, laptop: Path) -> None:
    key = s3.environment["AWS_ACCESS_KEY_ID"]
    other = boto3.client("s3", endpoint_url=s3.endpoint, aws_access_key_id=key, aws_secret_access_key="0" * 40)
    with pytest.raises(RentalError, match=r"ended cannot be read: .*run `morphospace doctor`"):
        parcel.fetch(run._replace(s3=other), laptop)


def test_git_is_quoted_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(RentalError, match="`git rev-parse` failed: fatal: not a git repository"):
        parcel.git(tmp_path, "rev-parse", "HEAD")
