"""Fixtures shared by all tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from morphospace.apps.cloud.server import Server

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, which share the processors out
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MORPHOSPACE_JOBS", "1")
ROOT = Path(__file__).resolve().parent.parent
_SIDES = {"B01": "train", "B02": "train", "B03": "validation", "B04": "test", "B05": "test"}


def pytest_configure() -> None:
    """Let what the tests start be interrupted: a shell's background process ignores Ctrl-C, and hands that on."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: two processes that share the files out then end at about the same time."""
    longest = ["test_end_to_end.py", "test_budget.py", "test_real_fields.py", "test_entry.py"]
    items.sort(key=lambda item: longest.index(item.path.name) if item.path.name in longest else len(longest))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("MORPHOSPACE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder}; set MORPHOSPACE_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in miniature, not to be changed: discs in three channels of 16 px, all stages from train to package.

    It has params.yaml, and below ``data`` and ``reports`` what ``dvc.yaml`` names.
    """
    import yaml

    from morphospace.stages import embed, package, similarity, train

    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MORPHOSPACE_JOBS", "1")
        patch.setenv("MORPHOSPACE_SCRATCH", str(root / "scratch"))
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        _write_discs(root)
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        for name, stage in (("train", train), ("embed", embed), ("similarity", similarity), ("package", package)):
            stage.run(*(root / path for path in stages[name]["cmd"].split()[2:]))
    return root


def _write_discs(root: Path) -> None:
    """Write params.yaml, and what the stages up to split would have left: four cells in each of five wells."""
    import numpy as np
    import pandas as pd
    import yaml

    from morphospace import files, schema, splitting
    from morphospace.imaging import packs

    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"z_dim": 4, "model": "conv_vae"}
    given["train"] |= {"epochs": 30, "minibatch": 4, "learning_rate": 3e-3, "patience": 0, "pictures": 2}
    given["similarity"]["bootstrap"] = 100
    (root / "params.yaml").write_text(yaml.safe_dump(given))
    wells = [well for well in _SIDES for _ in range(4)]
    table = pd.DataFrame({schema.PLATE: "P1", schema.WELL: wells, schema.SITE: "1", schema.OBJECT: range(1, 21)})
    table = table.assign(**{c: "x" for c in schema.METADATA if c not in table}, **{schema.CROP_STATUS: schema.KEPT})
    table[schema.CROP_FILE] = [f"P1_{well}_1_{n + 1}.png" for n, well in enumerate(wells)]
    y, x = np.mgrid[:16, :16]
    discs = [np.uint8(40 * n % 200 + 55) * (np.hypot(y - 8, x - 8) < 2 + n % 6) for n in range(20)]
    tiles = [np.stack([d, d // 2, d // 3]).astype(np.uint8) for d in discs]
    (root / "data").mkdir()
    packs.write(root / "data/crops/P1.zip", zip(table[schema.CROP_FILE], map(packs.encode_tile, tiles), strict=True))
    table.to_parquet(root / "data/crops.parquet")
    sets = table.drop_duplicates(schema.IMAGE_SET_KEY)[schema.IMAGE_SET_KEY]
    sides = sets.assign(Group=splitting.groups(sets, "well"), Split=list(_SIDES.values()))
    sides.to_csv(root / "data/splits.csv", index=False)
    certificate = {"by": "well", **splitting.verify(sides, table, "well")}
    files.write_json(root / "reports/records/split.json", {"dataset": "synthetic", **certificate})
    counts = {"cells": 22, "kept": 20, "too_large": 2, "empty": 0}
    channels = {"Actin": {}, "Tubulin": {}, "DNA": {}}
    files.write_json(
        root / "reports/records/synthesize.json", {"dataset": "synthetic", **counts, "size": 16, "channels": channels}
    )


@pytest.fixture(autouse=True)
def _own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep work in progress inside the test's own folder."""
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path / "scratch"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: tiny tensors are slower with two, and much slower when the machine is busy."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB of its own, which a test may fill or make read-only; skipped for those who may not mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a disk to fill cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Server]:
    """A running S3 server with the bucket `morphospace`; ``s3.environment`` is what DVC and boto3 need to find it."""
    with Server(tmp_path / "s3", "morphospace") as server:
        yield server
