"""The long table of scores: every method, split, region and channel, with intervals, and what they say together."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.metrics.bootstrap import Estimate, Resamples
from morphospace.metrics.floors import PCA, TRIVIAL
from morphospace.metrics.similarity import LEGACY, REGIONS, Errors, psnr
from morphospace.reasons import explained
from morphospace.schema import TRAIN, VALIDATION
from morphospace.words import count

ALL = "all"  # the mean over channels
MODEL = "model"
ENCODER = "encoder"  # the model without the refinement of its latent points
PERFECT = "perfect"  # the image as its own reconstruction: what S legacy makes of it
_INTERVAL = {"": "value", "_low": "low", "_high": "high"}
COLUMNS = ["split", "region", "channel", "method", "metric", "value", "low", "high", "n_cells", "n_groups"]

Floats = NDArray[np.float64]


def table(
    split: str,
    channels: Sequence[str],
    methods: Mapping[str, Errors],
    resamples: Resamples,
    legacy: Mapping[str, Floats] | None = None,
) -> pd.DataFrame:
    """Return the scores of some methods on the cells of one split, one number a row.

    Metrics: ``S``; ``S_legacy`` (the similarity of the thesis; of a floor, which has neither a network nor chance, its
    stretch alone) and, of the model, what that is without some of its steps (``similarity.LEGACY``); ``mae``, ``mse``,
    ``psnr`` (dB, of the mean squared error over all cells), ``psnr_per_cell`` (mean of each cell's; a cell without any
    error is left out), ``ssim`` (whole tile only, where it was computed), and, for the model beside its floors,
    ``skill_mae`` and ``skill_pca``.

    Parameters
    ----------
    split
        Name of the split.
    channels
        Names of the channels of the errors; rows of channel ``all`` are means over them.
    methods
        Errors by method: ``model`` when it draws anything, ``encoder`` when it refines what that finds, ``perfect``,
        and names of floors.
    resamples
        Draws of the groups of these cells, shared by all rows, so that comparisons are paired.
    legacy
        The distances (n, 2, C) of the model by metric, as of ``similarity.LEGACY``.
    """
    rows = []
    for at, region in enumerate(REGIONS):
        for c, channel in enumerate([ALL, *channels]):
            place = (split, region, channel)
            for method, errors in methods.items():
                found = _plain(errors, at, c - 1, resamples)
                if method == MODEL:
                    distances = (legacy or {}).items()
                    found |= {m: resamples.estimate(1 - _of(d, at, c - 1)) for m, d in distances}
                if method == PERFECT:  # it makes no error: only its similarities say something
                    found = {name: found[name] for name in ("S", "S_legacy")}
                rows += [(*place, method, metric, *estimate[:5]) for metric, estimate in found.items()]
            for who in (MODEL, ENCODER):
                skills = _skills(methods, who, at, c - 1, resamples)
                rows += [(*place, who, metric, *estimate[:5]) for metric, estimate in skills.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of(values: Floats, region: int, channel: int) -> Floats:
    """Values (n,) of a region and a channel; channel -1 is the mean over channels."""
    here: Floats = values[:, region]
    return here.mean(axis=1) if channel < 0 else here[:, channel]


def _plain(errors: Errors, region: int, channel: int, resamples: Resamples) -> dict[str, Estimate]:
    """Estimate the metrics of one method, one region, one channel."""
    mae, mse, legacy = (_of(e, region, channel) for e in (errors.mae, errors.mse, errors.legacy))
    found = {"S": resamples.estimate(1 - mae), "S_legacy": resamples.estimate(1 - legacy)}
    found |= {"mae": resamples.estimate(mae), "mse": resamples.estimate(mse)}
    if not mse.any():  # no noise to be above
        return found
    found |= {
        "psnr": resamples.estimate(mse, lambda means: np.asarray(psnr(means[..., 0]))),
        "psnr_per_cell": resamples.estimate(psnr(mse)),
    }
    if errors.ssim.shape[1] and region == 0:
        found["ssim"] = resamples.estimate(errors.ssim.mean(axis=1) if channel < 0 else errors.ssim[:, channel])
    return found


def _skills(
    methods: Mapping[str, Errors], who: str, region: int, channel: int, resamples: Resamples
) -> dict[str, Estimate]:
    """Compare one method with the best trivial floor of each resample, and with PCA; nothing without floors."""
    found: dict[str, Estimate] = {}
    if who not in methods:
        return found
    trivial = [m for m in TRIVIAL if m in methods]
    if trivial:
        columns = [_of(methods[m].mae, region, channel) for m in [who, *trivial]]
        found["skill_mae"] = resamples.estimate(np.stack(columns, axis=1), _skill)
    if PCA in methods:
        columns = [_of(methods[m].mse, region, channel) for m in (who, PCA)]
        found["skill_pca"] = resamples.estimate(np.stack(columns, axis=1), _skill)
    return found


def _skill(means: Floats) -> Floats:
    """Return 1 - (first column) / (smallest of the others): 1 is perfect, 0 no better, negative is worse."""
    skill: Floats = 1 - means[..., 0] / means[..., 1:].min(axis=-1)
    return skill


def lookup(scores: pd.DataFrame, split: str, method: str, metric: str, region: str = "all") -> pd.Series:
    """Return the row (value, low, high, n_cells, n_groups) of a score over all channels; NaN where there is none."""
    names = ["value", "low", "high", "n_cells", "n_groups"]
    keys = {"split": split, "region": region, "channel": ALL, "method": method, "metric": metric}
    rows = scores.loc[np.logical_and.reduce([scores[key] == value for key, value in keys.items()]), names]
    return rows.iloc[0] if len(rows) else pd.Series(np.nan, index=names)


def summary(scores: pd.DataFrame, model: str, k: int, pca_cells: int) -> dict[str, float | int | str]:
    """Return the flat numbers of record of the test split, and one sentence that says who wins.

    Of a model that draws nothing all scores are NaN, and the sentence says so; those of the floors are there.

    Parameters
    ----------
    scores
        The tables of all splits under one another.
    model
        The model's name, for the sentence.
    k, pca_cells
        Components of the PCA floor, and cells it was fitted on.
    """

    def at(metric: str, method: str = MODEL, split: str = "test", region: str = "all", column: str = "value") -> float:
        return float(lookup(scores, split, method, metric, region)[column])

    found: dict[str, float | int | str] = {"verdict": "", "reconstructs": bool((scores["method"] == MODEL).any())}
    for metric in ("S", "skill_mae", "skill_pca"):
        found |= {f"{metric}{end}": at(metric, column=column) for end, column in _INTERVAL.items()}
    found |= {f"{metric}_encoder": at(metric, ENCODER) for metric in ("S", "mse")}
    found |= {f"skill_pca_encoder{end}": at("skill_pca", ENCODER, column=c) for end, c in _INTERVAL.items()}
    found["refines"] = bool((scores["method"] == ENCODER).any())
    steps = {metric: at(metric) for metric in LEGACY}
    found |= steps | {"S_legacy_train": at("S_legacy", split="train"), **_costs(at("S"), steps)}
    found |= {metric: at(metric) for metric in ("mae", "mse", "psnr", "psnr_per_cell", "ssim")}
    found |= {"S_inside": at("S", region="inside"), "S_pca_inside": at("S", PCA, region="inside")}
    found |= {f"S_{split}": at("S", split=split) for split in ("train", "validation")}
    found |= {f"S_{method}": at("S", method) for method in (*TRIVIAL, PCA)}
    found |= {f"mse_{method}": at("mse", method) for method in (*TRIVIAL, PCA)}
    found |= {f"S_legacy_{method}": at("S_legacy", method) for method in (*TRIVIAL, PCA, PERFECT)}
    found |= {"ssim_pca": at("ssim", PCA), "pca_k": k, "pca_cells": pca_cells}
    found |= {f"n_{of}_test": int(at("S", PCA, column=f"n_{of}")) for of in ("cells", "groups")}
    found["best_floor"] = max(TRIVIAL, key=lambda method: at("S", method))
    found["verdict"] = verdict(found, model)
    return explained(found, {key: _why(key, found, set(scores["split"]), model) for key in found})


def _why(key: str, found: Mapping[str, float | int | str], splits: set[str], model: str) -> str:
    """Return why a number of the summary may be missing."""
    split = key.removeprefix("S_")
    if split in (TRAIN, VALIDATION) and split not in splits:
        return f"no cell in the split {split}"
    if "_encoder" in key and not found["refines"]:
        return f"{model} does not refine what its encoder finds"
    if key.endswith("_inside"):
        return "no test cell shows a pixel" if found["reconstructs"] else f"{model} draws nothing"
    if not found["reconstructs"] and not key.endswith((*TRIVIAL, PCA, PERFECT)):
        return f"{model} draws nothing"
    if key.startswith(("S_legacy", "S_stretched", "legacy_cost")):
        return "no cell in the split train" if key.endswith(TRAIN) else f"{model} cannot draw pixels of 0 to 255"
    if key.endswith(("_low", "_high")) and found["n_groups_test"] == 1:
        return "the test cells are of one well, and intervals resample wells"
    if key.startswith("skill"):
        return "the floor draws every cell without an error"
    return "the tiles are too small for it" if key.startswith("ssim") else "there is no error at all"


def _costs(s: float, steps: Mapping[str, float]) -> dict[str, float]:
    """Return what each step of the thesis takes from S when it is added to those before it; they sum to the whole."""
    stretched, sampled = steps["S_stretched"], steps["S_stretched_sampled"]
    return {
        "legacy_cost_stretch": s - stretched,
        "legacy_cost_sampling": stretched - sampled,
        "legacy_cost_input": sampled - steps["S_legacy"],
    }


def verdict(found: Mapping[str, float | int | str], model: str) -> str:
    """Return one sentence: who reconstructs unseen cells better, the model or PCA with as many numbers a cell.

    The winner has the smaller mean squared error, when the interval of the skill leaves out 0; without an interval,
    or when it holds 0, nobody wins. A model below the best trivial floor is said to be so, and so is one that draws
    nothing.
    """
    if not found["reconstructs"]:
        return f"{model} draws nothing: it has no similarity, and is scored by its embedding (morphospace score)."
    pca = f"PCA-{found['pca_k']}"
    cells, wells = count(int(found["n_cells_test"]), "test cell"), count(int(found["n_groups_test"]), "well")
    skill, low, high = (float(found[f"skill_pca{end}"]) for end in ("", "_low", "_high"))
    errors = f"{float(found['mse']):.3g}, that of {pca} {float(found['mse_pca']):.3g}"
    numbers = f"on {cells} of {wells} the model's mean squared error is {errors}"
    numbers += f" (skill {skill:.2f}" if np.isfinite(skill) else " (no skill, for one of them makes no error"
    if not (np.isfinite(low) and np.isfinite(high)):
        who, interval = f"{model} against {pca} is undecided, for there is no interval", ""
    else:
        interval = f", interval {low:.2f} to {high:.2f}"
        ties = f"{model} and {pca} cannot be told apart"
        who = f"{pca} wins" if high < 0 else f"{model} beats {pca}" if low > 0 else ties
    floor = f"the {found['best_floor']} floor"
    trivial = float(found["skill_mae"])
    rest = f"{floor}, blind to the cell, is better too" if trivial < 0 else f"{floor} is beaten by {trivial:.0%}"
    if np.isnan(trivial):
        rest = f"{floor}, blind to the cell, makes no error either"
    return f"{who}: {numbers}{interval}); {rest} in mean absolute error."
