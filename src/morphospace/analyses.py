"""Sections of ``params.yaml`` of what is asked of embeddings and profiles."""

from typing import Annotated, Literal

from pydantic import Field

from morphospace.options import Options


class Profile(Options):
    """What stands for a site, a well and a treatment, and how they are measured from the negative controls."""

    site: Literal["mean", "median"]
    well: Literal["mean", "median"]
    treatment: Literal["mean", "median"]
    level: Literal["site", "well"]
    normalize: Literal["none", "standardize", "robustize", "pooled"]
    sphere: Literal["none", "zca", "pca"]
    sphere_regularization: Annotated[float, Field(ge=0)]
    sphere_pool: Literal["all", "plate"]
    align: Literal["none", "coral", "harmony"]
    align_regularization: Annotated[float, Field(ge=0)]


class Resampling(Options):
    """How many resamples of wells an interval rests on, and its confidence."""

    bootstrap: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Similarity(Resampling):
    """How S and its floors are estimated."""

    pca_cells: Annotated[int, Field(ge=10)]


class Moa(Options):
    """How mechanisms are scored."""

    metric: Literal["cosine", "correlation"]
    batch_rule: Literal["strict", "joined"]
    top: Annotated[int, Field(ge=1, le=10_000)]
    permutations: Annotated[int, Field(ge=100, le=1_000_000)]


class Interpret(Options):
    """Which latents are said to move with a property."""

    fdr: Annotated[float, Field(gt=0, lt=1)]
