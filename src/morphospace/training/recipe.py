"""A training as plain values: the model it starts from, how it is trained, and all that decides its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

import torch

from morphospace.models import _build
from morphospace.models._base import Model
from morphospace.training import elbo
from morphospace.training.augment import Augmentation
from morphospace.training.data import epoch_seed
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """What is to be trained.

    Attributes
    ----------
    seed
        Of the weights, of the order of the cells and of all chance in the model.
    model
        A file of models/.
    z_dim
        Latent dimensions.
    train
        The section `train` of ``params.yaml``, as plain values.
    options
        Those of the model.
    """

    seed: int
    model: str
    z_dim: int
    train: Mapping[str, Any]
    options: Mapping[str, Any]

    def untrained(self, channels: int, size: int) -> Model:
        """Return the model for tiles of so many planes and px, with weights that depend on the seed.

        Raises
        ------
        TrainingError
            When it refuses the size of the tiles, their channels or the latent size.
        """
        torch.manual_seed(epoch_seed(self.seed, 0, "weights"))
        mode, consistency = self.train["channel_mode"], self.train["consistency"]
        return _build.build(self.model, channels, size, self.z_dim, self.options, mode, consistency)

    def r_loss_factor(self, channels: int, size: int) -> float:
        """Return R as a number."""
        return elbo.resolve_r(self.train["r_loss_factor"], channels, size)

    def settings(self, channels: int, size: int, **changes: Any) -> Settings:
        """Return how it is trained on such tiles; `changes` are settings that differ."""
        given = self.train
        known = {field.name for field in fields(Settings)}
        made = {name: value for name, value in given.items() if name in known}
        made["seed"] = self.seed
        made["objective"] = Objective(
            self.r_loss_factor(channels, size), given["likelihood"], given["background"], given["free_bits"]
        )
        made["augment"] = Augmentation(**given["augment"])
        made["temperature"] = given["contrastive_temperature"]
        return Settings(**(made | changes))

    def identity(self, kinds: Sequence[str] = ("models", "training")) -> list[Any]:
        """Return what decides the result, but for the data: every value, torch's version, the code of some packages.

        Of models/, the code of the model itself and of the parts that models share.
        """
        return self._identity(kinds, ("keep_every",))

    def trajectory(self, kinds: Sequence[str] = ("models", "training")) -> list[Any]:
        """Return what decides the weights of every epoch: the `identity` but for how many epochs there are."""
        return self._identity(kinds, ("keep_every", "epochs", "patience"))

    def _identity(self, kinds: Sequence[str], but: Sequence[str]) -> list[Any]:
        train = {name: value for name, value in self.train.items() if name not in but}
        values = [self.seed, self.model, self.z_dim, train, dict(self.options)]
        return [values, code(kinds, self.model), torch.__version__]


def code(kinds: Sequence[str], model: str = "") -> list[tuple[str, str, str]]:
    """Return package, file and text of the code of some packages; of models/, that of one and of the shared parts."""
    package = resources.files("morphospace")
    return [
        (kind, file.name, file.read_text(encoding="utf-8"))
        for kind in kinds
        for file in sorted(package.joinpath(kind).iterdir(), key=lambda f: f.name)
        if file.name.endswith(".py") and (kind != "models" or file.name.startswith((f"{model}.py", "_")))
    ]
