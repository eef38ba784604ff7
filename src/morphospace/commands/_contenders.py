"""Who takes part in a comparison of models: every file of models/ as params.yaml has it, and named variants."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from morphospace import params, registry
from morphospace.errors import ParameterError

EPOCHS = 100_000  # the budget of processor seconds ends the training, no number of epochs
VIEWS = {"train.augment.flips": True, "train.augment.turns": True}  # eight views of a cell
VARIANTS: dict[str, dict[str, Any]] = {  # values that differ from params.yaml, by dotted key
    "autoencoder_views": {"model": "autoencoder", **VIEWS},
    "canonical_vae_encoder": {"model": "canonical_vae", "canonical_vae.refine": 0},
    "conv_vae_l1": {"model": "conv_vae", "train.likelihood": "l1"},
    "conv_vae_beta_0": {"model": "conv_vae", "train.beta": 0.0},
    "conv_vae_free_bits": {"model": "conv_vae", "train.free_bits": 0.1},
    "conv_vae_folded": {"model": "conv_vae", "train.channel_mode": "folded"},
    "conv_vae_views": {"model": "conv_vae", **VIEWS},
    "pca_autoencoder_views": {
        "model": "pca_autoencoder",
        "pca_autoencoder.views": 16_384,
        "train.learning_rate": 3e-3,
        "train.lr_decay": 0.85,  # an epoch is a tenth of the budget at most: a tenth of the rate, or less, is left
        **VIEWS,
    },
}


class Contender(NamedTuple):
    """One that takes part: its name and all of its parameters."""

    name: str
    options: params.Params


def contenders(only: Sequence[str] = ()) -> list[Contender]:
    """Return the models and the variants, each validated as a training would; nothing stops one early.

    Parameters
    ----------
    only
        Names to take; none takes all.

    Raises
    ------
    ParameterError
        When a name is unknown, naming the nearest, or a value is refused.
    """
    known: dict[str, dict[str, Any]] = {name: {"model": name} for name in registry.names("models")} | VARIANTS
    if unknown := [name for name in only if name not in known]:
        raise ParameterError(
            f"no model or variant is called {unknown[0]!r}{registry.nearest(unknown[0], sorted(known))}"
        )
    fixed = {"train.epochs": EPOCHS, "train.patience": 0}
    return [
        Contender(name, params.load(changes=changes | fixed))
        for name, changes in known.items()
        if not only or name in only
    ]
