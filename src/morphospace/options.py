"""The base of every set of validated options: unknown keys are refused, values are ranges."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from morphospace import places

# A path that a person names: absolute, from ~, or from the root of their repository; `places.of_user` reads it.
UserPath = Annotated[str, AfterValidator(places.checked)]


class Options(BaseModel):
    """A section of ``params.yaml``, or the options of a plug-in: no unknown key, no coercion of text to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @property
    def part(self) -> str:
        """Which of the data of this kind, in a few words for titles; nothing where there is one only."""
        return ""


def tiles_an_epoch(images: int, options: Mapping[str, Any]) -> int:
    """Return how many tiles a model of these options sees in an epoch of so many training tiles.

    One that makes `copies` of them sees each equally often.
    """
    return images * max(1, int(options.get("copies", 1)) // images) if images else 0
