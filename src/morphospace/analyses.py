"""Sections of ``params.yaml`` of what is asked of embeddings and profiles."""

from typing import Annotated, Literal

from pydantic import Field

from morphospace.options import Options


class Moa(Options):
    """How mechanisms are scored."""

    metric: Literal["cosine", "correlation"]
    batch_rule: Literal["strict", "joined"]
    top: Annotated[int, Field(ge=1, le=10_000)]
    permutations: Annotated[int, Field(ge=100, le=1_000_000)]


class Interpret(Options):
    """Which latents are said to move with a property."""

    fdr: Annotated[float, Field(gt=0, lt=1)]
