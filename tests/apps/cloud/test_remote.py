from pathlib import Path

import pytest

from morphospace.apps.cloud import remote
from morphospace.errors import StorageError

ROOT = Path(__file__).resolve().parents[3]
OURS = (ROOT / ".dvc" / "config").read_text()


def _repository(folder: Path, config: str = OURS, local: str = "") -> Path:
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(config)
    (folder / ".dvc" / "config.local").write_text(local)
    return folder


def test_our_own_configuration_names_a_bucket_and_verifies_and_has_no_secret(tmp_path: Path) -> None:
    root = _repository(tmp_path)
    ours = remote.read(root)
    assert (ours.name, ours.bucket, ours.prefix) == ("store", "morphospace", "dvc/")
    assert ours.settings["verify"] is True
    assert not {"endpointurl", "profile", "region", *remote.SECRETS} & set(ours.settings)
    assert remote.committed_secrets(root) == []


def test_local_settings_add_to_those_in_git(tmp_path: Path) -> None:
    local = "['remote \"store\"']\n    url = s3://mine\n    profile = lab\n    endpointurl = http://127.0.0.1:9000\n"
    mine = remote.read(_repository(tmp_path, local=local))
    assert (mine.url, mine.bucket, mine.prefix) == ("s3://mine", "mine", "")
    assert mine.settings["profile"] == "lab"
    assert mine.settings["endpointurl"] == "http://127.0.0.1:9000"
    assert mine.settings["verify"] is True


def test_a_remote_inside_another_is_resolved(tmp_path: Path) -> None:
    local = "['remote \"plates\"']\n    url = remote://store/plates\n"
    assert remote.read(_repository(tmp_path, local=local), "plates").url == "s3://morphospace/dvc/plates"


def test_a_secret_in_what_git_publishes_is_found(tmp_path: Path) -> None:
    root = _repository(tmp_path, OURS + "    secret_access_key = hush\n")
    assert remote.committed_secrets(root) == ["store.secret_access_key"]


def test_a_secret_that_git_ignores_is_left_alone(tmp_path: Path) -> None:
    root = _repository(tmp_path, local="['remote \"store\"']\n    secret_access_key = hush\n")
    assert remote.committed_secrets(root) == []


def test_a_remote_that_is_a_folder_is_no_bucket(tmp_path: Path) -> None:
    folder = remote.read(_repository(tmp_path, "[core]\n    remote = r\n['remote \"r\"']\n    url = /mnt/share\n"))
    assert (folder.is_s3, folder.url) == (False, "/mnt/share")


def test_the_cache_may_lie_elsewhere(tmp_path: Path) -> None:
    assert remote.cache(_repository(tmp_path, local="[cache]\n    dir = /mnt/large\n")) == Path("/mnt/large")


def test_without_dvc_it_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no DVC repository; run from the root"):
        remote.read(tmp_path)


def test_without_a_remote_it_says_how_to_add_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no default remote; `dvc remote add -d store"):
        remote.read(_repository(tmp_path, "[core]\n    analytics = false\n"))


def test_a_remote_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="'shop' doesn't exist"):
        remote.read(_repository(tmp_path), "shop")


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"DVC refuses .dvc/config: .*verfy"):
        remote.read(_repository(tmp_path, OURS + "    verfy = true\n"))
