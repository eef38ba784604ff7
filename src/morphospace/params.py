"""``params.yaml``: a pydantic model a section, unknown keys refused with the nearest valid one. Only stages read it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from morphospace import registry, yamls
from morphospace.analyses import Interpret, Moa, Profile, Resampling, Similarity
from morphospace.errors import ParameterError
from morphospace.options import Options
from morphospace.spaces import Space

AUTO = "auto"  # a value of `train` that the model's file recommends, or else the usual one
USUAL: Mapping[str, Any] = {  # the thesis's (000-25, 000-26), but for the epochs
    "epochs": 8,
    "minibatch": 35,
    "learning_rate": 5e-4,
    "weight_decay": 0.0,
    "warmup": 0,
    "average": 0.0,
}
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Index(Options):
    """How many image sets may be unusable, and files unread."""

    max_dropped: Fraction


class Illuminate(Options):
    """The illumination function, one a plate and channel (000-03)."""

    smoothing: Annotated[float, Field(gt=0, le=1)]


class Segment(Options):
    """Nuclei, cells and cytoplasm (000-04, 000-05)."""

    engine: str
    nuclei_channel: str
    cells_channel: str
    method: Literal["propagation", "watershed"]
    min_diameter: Count
    max_diameter: Count
    opening_radius: Annotated[int, Field(ge=0)]
    nuclei_correction: Positive
    cells_correction: Positive
    log_transform: bool
    regularization: Annotated[float, Field(ge=0)]
    max_failed: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> "Segment":
        if self.min_diameter >= self.max_diameter:
            raise ValueError(f"min_diameter {self.min_diameter} is not below max_diameter {self.max_diameter}")
        if self.engine not in registry.names("segmentation"):
            raise ValueError(
                f"engine {self.engine!r} is unknown{registry.nearest(self.engine, registry.names('segmentation'))}"
            )
        return self


class Validate(Options):
    """How many image sets are segmented again by the other engines."""

    fields: Count


class Synthesize(Options):
    """One PNG a cell (000-06, 000-09 to 000-15)."""

    size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)]
    stride: Annotated[int, Field(ge=0, le=65_536)]
    channels: list[str]
    center: Literal["cell", "nucleus"]
    mask: bool
    scaling: Literal["percentile", "bit_depth", "positive", "log_flat"]
    low: Annotated[float, Field(ge=0, lt=100)]
    high: Annotated[float, Field(gt=0, le=100)]
    brightness: Positive
    min_mean: Fraction
    max_mean: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> "Synthesize":
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.min_mean >= self.max_mean:
            raise ValueError(f"min_mean {self.min_mean:g} is not below max_mean {self.max_mean:g}")
        if self.center == "nucleus" and self.stride:
            raise ValueError(f"center nucleus and stride {self.stride} exclude each other; set stride to 0")
        if not self.mask and self.center == "cell" and not self.stride:
            raise ValueError("mask false needs center nucleus: without its mask the box of a cell says nothing")
        return self


class Split(Options):
    """Groups apart (001-03)."""

    by: Literal["site", "well", "plate", "compound", "batch"]
    stratify: Literal["moa", "compound"]
    train: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(ge=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _whole(self) -> "Split":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {total:g}, not 1")
        return self


class Augment(Options):
    """Other views of the training cells (002-07); none for the thesis."""

    flips: bool
    turns: bool
    shift: Annotated[int, Field(ge=0, le=512)]
    brightness: Annotated[float, Field(ge=0, lt=1)]


class Train(Options):
    """Optimisation (000-24 to 000-26)."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    minibatch: Annotated[int, Field(ge=2, le=65_536)]
    threads: Annotated[int, Field(ge=1, le=1024)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    lr_decay: Annotated[float, Field(gt=0, le=1)]
    lr_step: Count
    warmup: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    average: Fraction
    likelihood: Literal["gaussian", "gaussian_learned", "bernoulli", "l1", "ssim"]
    r_loss_factor: Positive | Literal["elbo"]
    background: Fraction
    beta: Annotated[float, Field(ge=0)]
    kl_warmup: Annotated[int, Field(ge=0)]
    kl_period: Annotated[int, Field(ge=0)]
    free_bits: Annotated[float, Field(ge=0)]
    channel_mode: Literal["joint", "folded"]
    consistency: Annotated[float, Field(ge=0)]
    contrastive: Annotated[float, Field(ge=0)]
    contrastive_across: Literal["well", "batch"]
    contrastive_temperature: Annotated[float, Field(gt=0, le=10)]
    augment: Augment
    patience: Annotated[int, Field(ge=0)]
    min_delta: Annotated[float, Field(ge=0)]
    pictures: Annotated[int, Field(ge=1, le=32)]
    keep_every: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _scheduled(self) -> "Train":
        if self.kl_period and not 0 < self.kl_warmup <= self.kl_period:
            raise ValueError(f"kl_warmup {self.kl_warmup} is not from 1 to kl_period {self.kl_period}")
        if self.consistency and self.channel_mode == "joint":
            raise ValueError(f"consistency {self.consistency:g} needs channel_mode folded")
        return self


class Machine(Options):
    """What an hour on a machine costs; `date` is when that was so: a year, a month or a day."""

    spot: Annotated[float, Field(ge=0)]
    on_demand: Annotated[float, Field(ge=0)]
    date: Annotated[str, Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")] | None = None
    source: str = ""


class Budget(Options):
    """Prices (000-41)."""

    currency: str
    machine: str
    machines: dict[str, Machine]
    storage_gb_month: Annotated[float, Field(ge=0)]
    months: Annotated[float, Field(ge=0)]
    cells: Count
    fields: Count
    epochs: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _priced(self) -> "Budget":
        if self.machine not in self.machines:
            raise ValueError(
                f"machine {self.machine!r} has no price{registry.nearest(self.machine, list(self.machines))}"
            )
        return self


class Params(Options):
    """The whole of ``params.yaml``, and what its plug-ins make of it.

    Attributes
    ----------
    data_set
        What reports call the data: ``synthetic``, or ``folder: may/images``.
    dataset_options, model_options
        The sections of the chosen plug-ins, which validate them.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    dataset: str
    model: str
    z_dim: Annotated[int, Field(ge=1, le=8192)]
    index: Index
    illuminate: Illuminate
    segment: Segment
    validate_: Validate = Field(alias="validate")
    synthesize: Synthesize
    split: Split
    train: Train
    profile: Profile
    similarity: Similarity
    dose: Resampling
    interpret: Interpret
    moa: Moa
    budget: Budget
    tune: Space
    data_set: str
    dataset_options: dict[str, Any]
    model_options: dict[str, Any]

    @model_validator(mode="after")
    def _whole_fields(self) -> "Params":
        if self.synthesize.stride and self.segment.engine != "field":
            raise ValueError(
                f"synthesize.stride {self.synthesize.stride} cuts whole fields into squares; it needs segment.engine "
                f"field, not {self.segment.engine}"
            )
        return self

    @model_validator(mode="after")
    def _likely(self) -> "Params":
        activation = self.model_options.get("output_activation", "sigmoid")
        if self.train.likelihood == "bernoulli" and activation != "sigmoid":
            raise ValueError(f"train.likelihood bernoulli needs {self.model}.output_activation sigmoid")
        return self

    def training(self, **changes: Any) -> dict[str, Any]:
        """Return the training as the plain values of a ``Recipe``; `changes` are values of `train` that differ."""
        train = self.train.model_dump() | changes
        named = {"seed": self.seed, "model": self.model, "z_dim": self.z_dim}
        return {**named, "train": train, "options": self.model_options}

    def timed(self) -> dict[str, Any]:
        """Return the parameters that decide what a run takes, by their names in params.yaml."""
        return {
            "dataset": self.dataset,
            "segment.engine": self.segment.engine,
            "segment.method": self.segment.method,
            "synthesize.size": self.synthesize.size,
            "model": self.model,
            **{f"{self.model}.{name}": value for name, value in self.model_options.items()},
            "z_dim": self.z_dim,
            "train.minibatch": self.train.minibatch,
            "train.epochs": self.train.epochs,
        }

    def mechanisms(self) -> dict[str, Any]:
        """Return how mechanisms are scored, as the plain values of ``moa.Settings``."""
        asked, intervals = self.moa, self.similarity
        return {
            "metric": asked.metric,
            "rule": asked.batch_rule,
            "top": asked.top,
            "permutations": asked.permutations,
            "resamples": intervals.bootstrap,
            "confidence": intervals.confidence,
            "seed": self.seed,
        }


def load(path: Path = Path("params.yaml"), changes: Mapping[str, Any] | None = None) -> Params:
    """Return the validated parameters.

    A section named after a data set or a model belongs to that plug-in, whose ``Options`` validate it when it is
    the chosen one. What `train` has as `auto` is what the model's ``TRAINING`` says, or ``USUAL``.

    Parameters
    ----------
    path
        The file.
    changes
        Values that replace those of the file, by dotted key: what ``dvc exp run -S`` would do.

    Raises
    ------
    ParameterError
        One line a mistake: the key, the value, the allowed range, or the nearest valid key.
    """
    raw = yamls.sections(path)

    def line(keys: Sequence[str]) -> int | None:
        return None if ".".join(keys) in (changes or {}) else yamls.line(path, keys)

    for key, value in (changes or {}).items():
        *above, last = key.split(".")
        section: Any = raw
        for name in above:
            section = section.setdefault(name, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise ParameterError(f"{key}: {'.'.join(above)} is a value of {path}, and no section")
        section[last] = value
    known = _roots()
    if unknown := [str(key) for key in raw if key not in known]:
        said = (f"{_at(line([key]))}unknown key {key}{registry.nearest(key, known)}" for key in unknown)
        raise ParameterError(f"{path}: {'; '.join(said)}")
    chosen = _plug_in(raw, "datasets", "dataset", line)
    _plug_in(raw, "models", "model", line)
    _recommend(raw)
    raw["data_set"] = f"{raw['dataset']}: {chosen.part}" if chosen.part else raw["dataset"]
    return registry.validated(Params, raw, "", line)


def _roots() -> list[str]:
    """Return the keys that may stand at the left of the file: parameters, and sections named after plug-ins."""
    made = {"data_set", "dataset_options", "model_options"}  # by `load`
    own = [field.alias or name for name, field in Params.model_fields.items() if name not in made]
    return [*own, *registry.names("datasets"), *registry.names("models")]


def _plug_in(raw: dict[str, Any], kind: registry.Kind, key: str, line: registry.Line) -> Options:
    """Replace the sections named after plug-ins by the validated options of the chosen one, and return these."""
    if raw.get(key) is None:
        raise ParameterError(f"params.yaml: {_at(line([key]))}{key} is missing")
    sections = {name: raw.pop(name) for name in registry.names(kind) if name in raw}
    chosen = str(raw[key])
    try:
        module = registry.load(kind, chosen)
    except ParameterError as error:
        raise ParameterError(f"params.yaml: {_at(line([key]))}{error}") from None
    options: Options = registry.validated(module.Options, sections.get(chosen, {}), f"{chosen}.", line)
    raw[f"{key}_options"] = options.model_dump()
    return options


def _recommend(raw: dict[str, Any]) -> None:
    """Replace what is `auto` in `train` by what the file of the model recommends, its TRAINING, or by the usual."""
    recommended = {**USUAL, **getattr(registry.load("models", str(raw["model"])), "TRAINING", {})}
    if isinstance(train := raw.get("train"), dict):
        raw["train"] = {k: recommended[k] if v == AUTO and k in recommended else v for k, v in train.items()}


def _at(number: int | None) -> str:
    return "" if number is None else f"line {number}: "
