"""The base of every set of validated options: unknown keys are refused, values are ranges."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A section of ``params.yaml``, or the options of a plug-in: no unknown key, no coercion of text to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)
