"""A drawn field, and a stand-in for CellProfiler that answers at once."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from morphospace.segmentation._engine import ImageSet

Maker = Callable[..., ImageSet]


def _draw(seed: int, shape: tuple[int, int] = (240, 300), cells: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """A nuclear and a cell stain, uint16: blurred disks, some touching, on an uneven, noisy background."""
    rng = np.random.default_rng(seed)
    nuclei, bodies = np.zeros(shape), np.zeros(shape)
    yy, xx = np.indices(shape)
    for _ in range(cells):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        far = np.hypot(yy - y, (xx - x) * rng.uniform(0.8, 1.2))
        nuclei += (far < rng.uniform(9, 13)) * rng.uniform(0.5, 1)
        bodies += np.clip(1 - far / rng.uniform(22, 34), 0, 1) * rng.uniform(0.5, 1)
    shade = 1 - 0.3 * np.hypot(yy / shape[0] - 0.5, xx / shape[1] - 0.5)
    planes = [ndimage.gaussian_filter(p, 1.5) * shade + rng.normal(0.08, 0.01, shape) for p in (nuclei, bodies)]
    first, second = (np.clip(p * 9000, 0, 65535).astype(np.uint16) // 16 * 16 for p in planes)
    return first, second


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Draw a field: see `_draw`."""
    return _draw


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Write an image set with even illumination: drawn from a seed, or of given pixels."""

    def written(
        key: int, plate: str = "P", nuclei: np.ndarray | None = None, cells: np.ndarray | None = None
    ) -> ImageSet:
        drawn = _draw(key) if nuclei is None or cells is None else (nuclei, cells)
        paths = [tmp_path / f"{plate}_{key}_{name}.tif" for name in ("dna", "actin")]
        for path, pixels in zip(paths, drawn, strict=True):
            tifffile.imwrite(path, pixels, photometric="minisblack")
        even = tmp_path / f"{plate}_{key}_even.npy"
        np.save(even, np.ones(drawn[0].shape, np.float32))
        return ImageSet(key, f"{plate}/B02/{key}", plate, *paths, even, even)

    return written


@pytest.fixture
def odd(make: Maker) -> tuple[list[ImageSet], dict[int, str]]:
    """A plate of nine image sets; by key, the file of the six that are even or almost so, each in its own way."""
    shape = (240, 300)
    first, second = _draw(10)
    noise = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint16)
    specks = np.full(shape, 900, np.uint16)
    specks[::20, ::30] = 40_000
    planes = {
        2: (np.full(shape, 900, np.uint16), second),
        3: (first, np.full(shape, 65_535, np.uint16)),
        4: (np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)),
        5: (40_000 + noise, second),
        6: (first, 65_534 + noise),
        8: (specks, second),
    }
    sets = [make(k, nuclei=planes[k][0], cells=planes[k][1]) if k in planes else make(k) for k in range(1, 10)]
    lamp = 1 + np.hypot(*np.indices(shape)).astype(np.float32) / 1000
    for image_set in sets[1:4]:  # an even image over the function of a lamp shows the lamp
        np.save(image_set.nuclei_illumination, lamp)
    return sets, {k: f"P_{k}_{'actin' if k in (3, 6) else 'dna'}.tif is even" for k in planes}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a program in CellProfiler's place: a body in Python that sees rows, out (folder), done (file), keep_going."""

    def installed(body: str) -> Path:
        program = tmp_path / "cellprofiler"
        program.write_text(
            f"#!{sys.executable}\n"
            "import csv, pathlib, sys\n"
            "given = dict(zip(sys.argv, sys.argv[1:]))\n"
            "out, done = pathlib.Path(given['-o']), pathlib.Path(given['-d'])\n"
            "out.mkdir()\n"
            "keep_going = '--always-continue' in sys.argv\n"
            "rows = list(csv.DictReader(open(given['--data-file'])))\n"
            f"calls = open({str(tmp_path / 'calls')!r}, 'a'); print(len(rows), file=calls); calls.close()\n"
            "def write(key, n=1):\n"
            "    import numpy, tifffile\n"
            "    for name in ('Nuclei', 'Cells', 'Cytoplasm'):\n"
            "        labels = numpy.zeros((8, 8), 'uint16'); labels[2:4, 2:4] = n\n"
            "        tifffile.imwrite(out / f'{key}_{name}.tiff', labels, photometric='minisblack')\n" + body
        )
        program.chmod(0o755)
        (tmp_path / "java").mkdir(exist_ok=True)
        (tmp_path / "java" / "libjvm.so").touch()
        monkeypatch.setenv("MORPHOSPACE_CELLPROFILER", str(program))
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
        return tmp_path / "calls"

    return installed
