"""What DVC may delete: nothing that a person has put where the pipeline's folders are, tried with DVC itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from checkout import TINY, Checkout

pytestmark = pytest.mark.slow


def _images(folder: Path) -> set[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for well in ("B02", "B03"):
        for channel in (1, 2, 4):
            pixels = rng.integers(0, 60000, (64, 64), dtype=np.uint16)
            tifffile.imwrite(folder / f"P1_{well}_s1_w{channel}.tif", pixels, photometric="minisblack")
    return set(folder.glob("*.tif"))


def _checkout(tmp_path: Path, root: str) -> Checkout:
    given = {**TINY, "dataset": "folder", "folder": {"root": root}, "segment": {"engine": "native"}}
    return Checkout(tmp_path / "repo", given)


# `dvc exp run` without a target, and `dvc checkout`, delete a folder of dvc.yaml that the cache lacks before our code
# runs. data/raw/folder is no such folder: what is fetched lies one deeper.
EVERY = ("repro -s fetch", "repro", "exp run fetch", "exp run", "exp run --temp fetch", "checkout", "checkout --force")


@pytest.mark.parametrize(("place", "commands"), [("data/raw/folder", EVERY), ("data/crops", EVERY[:3])])
def test_images_where_the_pipeline_writes_are_refused_and_stay(
    tmp_path: Path, place: str, commands: tuple[str, ...]
) -> None:
    checkout = _checkout(tmp_path, place)
    mine = _images(checkout.folder / place)
    for command in commands:
        out = checkout.dvc(*command.split(), check=False)
        assert all(image.exists() for image in mine), command
        if not command.startswith("checkout"):
            assert out.returncode, command
            assert f"folder.root: {place} " in out.stderr, command
            assert "an output of the pipeline" in out.stderr, command


def test_files_beside_what_was_fetched_stay_and_those_in_it_are_refused(tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    _images(plates)
    checkout = _checkout(tmp_path, "../plates")
    checkout.dvc("exp", "run", "-n", "first", "index")
    fetched = checkout.folder / "data/raw/folder/fetched"
    assert len(list(fetched.glob("*.tif"))) == 6
    checkout.commit()
    beside = _images(checkout.folder / "data/raw/folder/mine") | _images(checkout.folder / "data/raw/mine")
    (plates / "P1_B03_s1_w4.tif").rename(plates / "P1_B04_s1_w4.tif")
    (plates / "P1_B03_s1_w1.tif").unlink()
    for command in (
        "repro -f fetch",
        "exp run -S folder.plate=x -n second fetch",
        "checkout --force",
        "exp apply first",
    ):
        checkout.dvc(*command.split(), check=False)  # the last two miss the outputs of stages that never ran
        assert all(image.exists() for image in beside), command
        if command == "repro -f fetch":  # what is no longer there is no longer fetched
            names = sorted(image.name for image in fetched.glob("*.tif"))
            assert names == [f"P1_{x}.tif" for x in ("B02_s1_w1", "B02_s1_w2", "B02_s1_w4", "B03_s1_w2", "B04_s1_w4")]
    shutil.copy(plates / "P1_B02_s1_w1.tif", fetched / "P1_C02_s1_w1.tif")
    out = checkout.dvc("repro", "fetch", check=False)
    assert "fetched holds 1 file that morphospace did not write there (first: P1_C02_s1_w1.tif)" in out.stderr
    assert (fetched / "P1_C02_s1_w1.tif").exists()


def test_a_relative_folder_of_images_is_found_from_a_clone(tmp_path: Path) -> None:
    _images(tmp_path / "plates")
    checkout = _checkout(tmp_path, "")
    (tmp_path / "wells.csv").write_text("Plate,Well,Compound\nP1,B02,taxol\nP1,B03,DMSO\n")
    values = ["-S", "folder.root=../plates", "-S", "folder.metadata=../wells.csv"]
    checkout.dvc("exp", "run", "--temp", *values, "-n", "temp", "index")
    checkout.dvc("exp", "apply", "temp", check=False)  # it misses the outputs of stages that never ran
    assert "taxol" in (checkout.folder / "data/image_sets.csv").read_text()
