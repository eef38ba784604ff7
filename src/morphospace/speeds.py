"""How fast a machine is, as measured: one JSON file a machine, in the scratch folder, that can be carried to another.

A stage takes ``fixed + rate x items`` seconds. `fixed` is what it takes with next to nothing to do; a rate is measured
several times, so that its spread is known. A shape of a model that was not measured has no speed: none is invented.
"""

import os
import platform
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from morphospace import files, seals
from morphospace.errors import InputError
from morphospace.options import Options, tiles_an_epoch

FORMAT = 3  # 3 has the similarity of the thesis among what is scored
Seconds = Annotated[float, Field(ge=0)]
Rates = Annotated[list[Seconds], Field(min_length=1)]


class Range(NamedTuple):
    """A number with the least and the most that were measured."""

    value: float
    low: float
    high: float

    def __add__(self, other: Any) -> "Range":
        """Add two: the ends add up, as if both were slow at once."""
        return Range(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Range":
        """Return the range of `factor`, at least 0, of these."""
        return Range(*(factor * v for v in self))


def measured(rates: list[float]) -> Range:
    """Return the mean of repeated measurements, with the fastest and the slowest."""
    return Range(sum(rates) / len(rates), min(rates), max(rates))


class Shape(Options):
    """What decides how fast a model trains."""

    model: str
    options: dict[str, Any]
    z_dim: int
    minibatch: int
    size: int
    channels: int
    threads: int  # of a training

    def key(self, jobs: int, workers: int) -> str:
        """Return the name of this shape on `workers` processes at once, each embedding with `jobs` threads."""
        return f"{self.model}-z{self.z_dim}-{jobs}x{workers}-{files.fingerprint(self.model_dump())}"


class Speed(Options):
    """Seconds a cell of one shape, each measured several times while `workers` processes did the same."""

    shape: Shape
    jobs: Annotated[int, Field(ge=1)]
    workers: Annotated[int, Field(ge=1)]
    train: Rates  # a training tile an epoch
    validate_: Rates = Field(alias="validate")  # a validation cell an epoch
    epoch: Rates  # between two epochs, whatever the cells: seconds, not a cell
    embed: Rates
    score: Rates  # S, SSIM and S legacy of the model
    floors: Rates  # of all floors, and the steps of S legacy, a test cell
    fit: Rates  # PCA and the trivial pictures, a training cell
    fit_once: Rates  # PCA, whatever the cells: seconds, not a cell
    weights_bytes: Annotated[int, Field(ge=0)]
    latents: Annotated[int, Field(ge=1)]  # numbers a cell: z_dim, where the model uses it


class Plate(Options):
    """What decides how fast the stages before training are."""

    engine: str
    method: str
    height: int
    width: int
    cells_per_field: Annotated[float, Field(ge=0)]
    size: int

    def key(self, jobs: int) -> str:
        """Return the name of such plates on `jobs` processes."""
        return f"{self.engine}-{self.width}x{self.height}-{jobs}-{files.fingerprint(self.model_dump())}"


class Line(Options):
    """What a stage takes: seconds whatever there is to do, seconds and bytes a field."""

    fixed: Seconds
    rates: Rates
    bytes_per_field: Annotated[float, Field(ge=0)]


class Chain(Options):
    """The stages before training, on one kind of plate; `decode` is seconds a tile."""

    plate: Plate
    jobs: Annotated[int, Field(ge=1)]
    stages: dict[str, Line]
    decode: Rates


class Benchmark(Options):
    """All that was measured on one machine, in the file format `FORMAT`."""

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = FORMAT
    machine: str  # the name in the price list that the user gave it; empty when unknown
    host: str
    processor: str
    device: str
    versions: str  # a speed of other versions of torch or of this code is measured anew
    date: str
    load: Annotated[float, Field(ge=0)] = 0.0  # processes a core that others ran when the measuring began: the most
    fixed: dict[str, Seconds] = Field(default_factory=dict)  # of a member's stages, and `start`: of one process
    shapes: dict[str, Speed] = Field(default_factory=dict)
    plates: dict[str, Chain] = Field(default_factory=dict)


def processor() -> str:
    """Return what this machine computes with, in words."""
    return f"{platform.machine()}, {os.cpu_count()} cores"


def here() -> Path:
    """Return the file of this machine's measurements."""
    return files.scratch("benchmarks", "machines") / f"{platform.node() or 'this'}.json"


def read(path: Path) -> Benchmark:
    """Return the measurements in a file.

    Raises
    ------
    InputError
        When it is missing, no JSON, or not what `morphospace budget --benchmark-only` writes: the first such key.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; write it with `morphospace budget --benchmark-only` on that machine")
    try:
        return Benchmark.model_validate(files.read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise InputError(f"{path} is no benchmark of this version: {where}: {first['msg']}; measure again") from None


def known() -> Benchmark | None:
    """Return what was measured here so far; None when nothing, or what is kept cannot be used."""
    if not (path := here()).is_file() or not seals.intact(path, unsealed=True):
        return None
    try:
        return read(path)
    except InputError:
        return None  # as good as never measured


def write(path: Path, found: Benchmark) -> None:
    """Write measurements, aside and renamed; this machine's own are sealed."""
    with (seals.keeping if path == here() else files.replacing)(path) as aside:
        files.write_json(aside, found.model_dump(by_alias=True))


def expected(shape: Shape, epochs: int, train: int, validation: int) -> float | None:
    """Return the seconds of `epochs` of training here, or None when this shape was not measured with as many threads.

    Of several numbers of workers, the one nearest to a single one is taken.
    """
    measurements = known()
    shapes = measurements.shapes.values() if measurements else ()
    fitting = [s for s in shapes if s.shape == shape and s.jobs == files.jobs()]
    if not fitting:
        return None
    speed = min(fitting, key=lambda s: s.workers)
    tiles = tiles_an_epoch(train, shape.options)
    an_epoch = tiles * measured(speed.train).value + validation * measured(speed.validate_).value
    return epochs * (an_epoch + measured(speed.epoch).value)
