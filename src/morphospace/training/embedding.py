"""A trained model as two files: weights in safetensors, and the arguments that rebuild it in JSON; and its use."""

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from morphospace import files, schema
from morphospace.errors import InputError, TrainingError
from morphospace.models import _build
from morphospace.models._base import Model
from morphospace.training import checkpoint
from morphospace.training.data import Minibatches, Tiles

WEIGHTS, CARD = "model.safetensors", "model.json"
FEW = 16  # tiles of a minibatch, so that a block has some for the processors to share out
T = TypeVar("T")
FORMAT = 3  # of model.json; 3 has the channel mode, and the bound on the log-variance among the options
_AGAIN = "fetch both files again, or run `dvc repro -f train`"


class Card(BaseModel):
    """What ``model.json`` holds: all that rebuilds the model, and how it came about.

    `data` names the content of what it was trained on, `weights` is the SHA-256 of the other file, `provenance` is what
    the stage `package` knows beyond; nothing of it is needed to rebuild the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    morphospace: str = ""  # the version that wrote it
    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    channels: Annotated[list[str], Field(min_length=1)]
    size: Annotated[int, Field(ge=1, le=4096)]
    z_dim: Annotated[int, Field(ge=1)]  # what the model makes of a tile: cae without a bottleneck sets it itself
    channel_mode: _build.ChannelMode
    options: dict[str, Any]
    r_loss_factor: float
    best_epoch: int
    epochs: int
    fingerprint: str
    data: str = ""
    weights: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)


def save_model(folder: Path, weights: Mapping[str, Tensor], card: Card) -> None:
    """Write the two files into an existing folder."""
    save_file({name: checkpoint.plain(t) for name, t in weights.items()}, folder / WEIGHTS)
    write_card(folder, card)


def write_card(folder: Path, card: Card) -> None:
    """Write the card of the weights that lie in a folder, in the newest format, with their SHA-256."""
    added = {"format": FORMAT, "morphospace": _version(), "weights": _sha256(folder / WEIGHTS)}
    files.write_json(folder / CARD, card.model_copy(update=added).model_dump())


def read_card(folder: Path) -> Card:
    """Return the card of a folder.

    Raises
    ------
    InputError
        When there is none, it is damaged, or another version of morphospace wrote what this one does not know.
    """
    path = folder / CARD
    if not path.is_file():
        raise InputError(f"{folder} is no folder of a model: it has no {CARD}, as data/package and data/models have")
    raw = files.read_json(path)
    if not isinstance(raw, dict):
        raise InputError(f"{path} is no card of a model; {_AGAIN}")
    found = raw.get("format", 1)
    if found != FORMAT:
        raise InputError(f"{path} has format {found}, this version reads {FORMAT}; {_other(raw)}")
    try:
        return Card.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}; {_other(raw)}") from None


def build(card: Card) -> Model:
    """Return the model of a card, with new weights.

    Raises
    ------
    InputError
        When this version has no such model, or the model refuses its options.
    """
    other = _other(card.model_dump())
    try:
        plug_in = importlib.import_module(f"morphospace.models.{card.model}")
    except ModuleNotFoundError:
        raise InputError(f"{CARD}: this version has no model {card.model!r}; {other}") from None
    try:
        options = plug_in.Options.model_validate(card.options).model_dump()
    except ValidationError as error:
        raise InputError(f"{CARD}: options of {card.model}: {_first(error)}; {other}") from None
    try:
        return _build.build(card.model, len(card.channels), card.size, card.z_dim, options, card.channel_mode)
    except TrainingError as error:
        raise InputError(f"{CARD}: {error}; {other}") from None


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """Return the model of a folder, in evaluation mode on the fastest device here, and its card.

    Raises
    ------
    InputError
        When a file is missing, damaged, or does not fit the other: the file, the key and both shapes are named; or when
        a weight is not a finite number.
    """
    card = read_card(folder)
    path = folder / WEIGHTS
    _check_fit(_shapes_wanted(card), _shapes(path), path)  # before anything of that size is made
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); {_AGAIN}") from None
    if card.weights not in ("", _sha256(path)):
        raise InputError(f"{path} is not the file that {CARD} was written with: its SHA-256 is another; {_AGAIN}")
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {name} has values that are not finite numbers; train the model anew")
    model = build(card)
    model.load_state_dict(weights)
    return model.to(device()).eval(), card.model_dump()


def origin(card: Mapping[str, Any]) -> dict[Hashable | None, Any]:
    """Return what names a model beyond doubt; an embedding table carries it (pandas writes attributes to Parquet)."""
    return {schema.MODEL: str(card["fingerprint"]), schema.WEIGHTS: str(card["weights"])}


def device() -> torch.device:
    """Return the fastest device here."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def width(model: Model, channels: int, size: int) -> int:
    """Return how many latent numbers the model makes of a tile: z_dim, or what a model without a bottleneck makes."""
    return int(encode(model, np.zeros((1, channels, size, size), dtype=np.uint8), 1)[0].shape[1])


def encode(
    model: Model, tiles: NDArray[np.uint8], minibatch: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the latent mean of tiles (N, C, H, W), and the log-variance of the posterior: two arrays (N, z_dim).

    A model without a posterior has None for the second. The model is put in evaluation mode; only a minibatch of tiles
    is in memory at a time.

    Raises
    ------
    TrainingError
        When a latent is not a finite number, with the number of such tiles.
    """
    means, logvars = [], []

    def one(x: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        latent = model.locate(x)
        return _array(latent.mean), None if latent.logvar is None else _array(latent.logvar)

    for places, spread in _each(model, tiles, minibatch, one):
        means.append(places)
        if spread is not None:
            logvars.append(spread)
    mean, logvar = np.concatenate(means), np.concatenate(logvars) if logvars else None
    _require_finite(mean if logvar is None else np.concatenate([mean, logvar], axis=1))
    return mean, logvar


def reconstruct(model: Model, tiles: NDArray[np.uint8], minibatch: int) -> NDArray[np.float32]:
    """Return the reconstructions (N, C, H, W) of tiles from their latent means; linear models may leave [0, 1]."""
    return predict(model, tiles, minibatch)


def predict(
    model: Model, tiles: NDArray[np.uint8], minibatch: int, factor: float = 1.0, rng: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Return the reconstructions (N, C, H, W) of tiles as the thesis's ``predict`` made them, or a part of it (000-36).

    Parameters
    ----------
    model
        One that reconstructs.
    tiles
        Tiles (N, C, H, W).
    minibatch
        Images at a time.
    factor
        What pixels in [0, 1] are multiplied by before they are encoded; the thesis forgot to divide by 255.
    rng
        Where the latents come from: the posterior of each tile is sampled, as in the thesis, by a model that has one
        and decodes. Without it, its mean is decoded.
    """

    def scaled(x: Tensor) -> Tensor:
        return x if factor == 1 else x * factor

    if rng is None or not model.decodes:
        return np.concatenate(_each(model, tiles, minibatch, lambda x: _array(model.reconstruct(scaled(x)))))
    drawn = []
    for mean, logvar in _each(model, tiles, minibatch, lambda x: model.locate(scaled(x))):
        noise = torch.from_numpy(rng.standard_normal(tuple(mean.shape)).astype(np.float32)).to(mean.device)
        drawn.append(mean if logvar is None else mean + torch.exp(0.5 * logvar) * noise)
    return np.concatenate(_shared(model, drawn, lambda z: _array(model.decode(z))))


def masked(model: Model, tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return tiles (N, C, H, W) as a model that masks them sees and completes them; None for another model."""
    shown = _each(model, tiles, len(tiles), model.masked)
    return None if shown[0] is None else (_array(shown[0].seen), _array(shown[0].drawn))


def decode(model: Model, z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the tiles (N, C, H, W) of latent points (N, z_dim)."""
    model.eval()
    with torch.inference_mode(), _one_thread():
        return _array(model.decode(torch.from_numpy(z).to(next(model.parameters()).device)))


def walk(model: Model, mean: NDArray[np.float32], dimension: int, span: float, steps: int) -> NDArray[np.float32]:
    """Return the average cell as it is drawn with one latent moved, (steps, C, H, W).

    Parameters
    ----------
    model
        One that decodes.
    mean
        Latent means of cells (N, z_dim): where the average is, and what a standard deviation is.
    dimension
        The latent that moves, from -`span` to +`span` standard deviations.
    """
    z = np.repeat(mean.mean(axis=0, keepdims=True), steps, axis=0)
    z[:, dimension] += (np.linspace(-span, span, steps) * mean[:, dimension].std()).astype(np.float32)
    return decode(model, z)


def _each(model: Model, tiles: NDArray[np.uint8], minibatch: int, of: Callable[[Tensor], T]) -> list[T]:
    """Return what a function makes of each minibatch, in order."""
    held = Tiles(tiles, next(model.parameters()).device, resident=False)
    return _shared(model, list(Minibatches(np.arange(len(tiles)), minibatch)), lambda rows: of(held.take(rows)))


def _shared(model: Model, todo: Sequence[Tensor], of: Callable[[Tensor], T]) -> list[T]:
    """Return what a function makes of each tensor, in order.

    The work is shared out among the processors, and each part is done by one thread: with several, sums in parts would
    round otherwise, and the last bits would depend on how many there are.
    """
    model.eval()

    def one(given: Tensor) -> T:
        with torch.inference_mode():
            return of(given)

    workers = min(files.jobs(), len(todo)) if next(model.parameters()).device.type == "cpu" else 1
    with _one_thread():
        if workers < 2:
            return [one(given) for given in todo]
        # A new thread has a number of its own, until torch happens to set it.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(one, todo))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _array(drawn: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(drawn.float().cpu().numpy())


def _require_finite(latents: NDArray[np.float32]) -> None:
    wrong = np.count_nonzero(~np.isfinite(latents).all(axis=1))
    if wrong:
        raise TrainingError(
            f"the model puts {wrong:,} of {len(latents):,} tiles nowhere: their latents are not finite numbers; "
            "train it anew with a lower train.learning_rate"
        )


def _shapes_wanted(card: Card) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of a card's model, which is laid out without taking any memory."""
    try:
        with torch.device("meta"):
            return {name: tuple(t.shape) for name, t in build(card).state_dict().items()}
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes beyond what torch can count
        raise InputError(f"{CARD} wants a network that cannot be: {str(error).splitlines()[0]}; {_AGAIN}") from None


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a file, from its header."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); {_AGAIN}") from None


def _check_fit(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], path: Path) -> None:
    differing = sorted(wanted.keys() ^ found.keys())
    if differing:
        where = "lacks" if differing[0] in wanted else "has an unknown"
        raise InputError(f"{path} {where} tensor {differing[0]}; it is not of this {CARD}: {_AGAIN}")
    for name, shape in wanted.items():
        if shape != found[name]:
            raise InputError(f"{path}: {name} is {found[name]}, {CARD} wants {shape}; {_AGAIN}")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _version() -> str:
    return importlib.metadata.version("morphospace")


def _other(card: Mapping[str, Any]) -> str:
    """Say who wrote a card that this version does not understand, and what to do with it."""
    wrote, here = card.get("morphospace"), _version()
    if wrote == here:
        return f"that is not what morphospace {here} writes: {_AGAIN}"
    by = f"morphospace {wrote}" if wrote else "another version of morphospace"
    return f"written by {by}, this is {here}: use that version, or run `dvc repro -f train`"
