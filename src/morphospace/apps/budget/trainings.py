"""Seconds a cell of one shape of a model: it is really trained for a moment, on generated tiles, on this machine."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from morphospace import speeds
from morphospace.metrics import floors, similarity
from morphospace.models import _build
from morphospace.models._base import Model
from morphospace.training import elbo, embedding, fitting, process
from morphospace.training.data import Labels
from morphospace.training.history import Epoch
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

STEPS, CHECKS = 3, 2  # minibatches of training and of validation in an epoch of the benchmark
SCORED = 32  # tiles that are embedded and scored at a time
PASSES, OVERSAMPLED = 7, 30  # of PCA: passes on real crops, components more than the latent has dimensions
LEAST = 4  # images in a minibatch of pairs: two classes
REPEATS = 2  # at least, whatever the time


class _EnoughError(Exception):
    """The time is up."""


def speed(shape: speeds.Shape, jobs: int, workers: int, seconds: float) -> speeds.Speed:
    """Return the speed of a shape: of each of `workers` processes that do the same at once, all repeats together.

    Parameters
    ----------
    shape
        What to train.
    jobs
        Threads a process.
    workers
        Processes at once.
    seconds
        About how long; every part is repeated at least `REPEATS` times, however slow the machine.
    """
    if workers == 1:
        found = [measure(shape, jobs, seconds)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_warm, range(workers)))  # every process has imported torch before the first one starts
            found = list(pool.map(measure, *zip(*[(shape, jobs, seconds)] * workers, strict=True)))
    sizes = {name: found[0].pop(name) for name in ("weights_bytes", "latents")}
    rates = {name: [rate for one in found for rate in one[name]] for name in found[0]}
    return speeds.Speed.model_validate({"shape": shape, "jobs": jobs, "workers": workers} | sizes | rates)


def _warm(number: int) -> int:
    time.sleep(0.2)  # or one process would take all of these tasks
    return number


def measure(shape: speeds.Shape, jobs: int, seconds: float) -> dict[str, Any]:
    """Return what this process alone measures: lists of seconds by part, the bytes of the weights, the latents."""
    threads, before = torch.get_num_threads(), os.environ.get("MORPHOSPACE_JOBS", "")
    torch.set_num_threads(shape.threads)
    os.environ["MORPHOSPACE_JOBS"] = str(jobs)  # of what embeds and scores
    process.keep_memory()
    try:
        tiles = generated(max((STEPS + CHECKS) * max(shape.minibatch, LEAST), SCORED), shape.channels, shape.size)
        torch.manual_seed(0)
        few = {"copies": 1} if "copies" in shape.options else {}  # how many there are decides no speed
        model = _build.build(shape.model, shape.channels, shape.size, shape.z_dim, shape.options | few)
        found: dict[str, Any] = _training(model, tiles, shape, 0.6 * seconds)
        found["latents"] = embedding.width(model.to(embedding.device()), shape.channels, shape.size)
        found |= _scoring(model, tiles[:SCORED], found["latents"], 0.1 * seconds)
        found["weights_bytes"] = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    finally:
        torch.set_num_threads(threads)
        os.environ["MORPHOSPACE_JOBS"] = before
    return found


def generated(count: int, channels: int, size: int) -> NDArray[np.uint8]:
    """Return tiles (N, C, H, W) of one bright blob each, black outside as a crop is."""
    rng = np.random.default_rng(0)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    centres = rng.uniform(-0.3, 0.3, (count, channels, 2)).astype(np.float32)
    widths = rng.uniform(0.1, 0.4, (count, channels, 2)).astype(np.float32)
    across, down = (np.exp(-(((axis - centres[..., i, None]) / widths[..., i, None]) ** 2)) for i in range(2))
    blob = across[..., None, :] * down[..., :, None]
    return np.where(blob > 0.02, 255 * blob, 0).astype(np.uint8)


class _Stopwatch(Observer):
    """Takes the time of steps, of validation, and of what stands between two epochs."""

    def __init__(self, minibatch: int, seconds: float) -> None:
        self.minibatch, self.until = minibatch, time.perf_counter() + seconds
        self.steps: list[float] = []
        self.ended = 0.0
        self.rates: dict[str, list[float]] = {"train": [], "validate": [], "epoch": []}

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        """After each minibatch, when the device has done it."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.steps.append(time.perf_counter())
        if step == 1 and epoch > 2:
            a_step = self.rates["train"][-1] * self.minibatch
            self.rates["epoch"].append(max(0.0, self.steps[-1] - self.ended - a_step))
            if time.perf_counter() > self.until and len(self.rates["epoch"]) >= REPEATS:
                raise _EnoughError

    def on_epoch(self, row: Epoch, model: Model, replayed: bool) -> None:
        """After each epoch; the first one warms up."""
        now = time.perf_counter()
        if row.epoch > 1:
            a_step = (self.steps[-1] - self.steps[0]) / (len(self.steps) - 1)
            self.rates["train"].append(a_step / self.minibatch)
            self.rates["validate"].append((now - self.steps[-1]) / (CHECKS * self.minibatch))
        self.steps, self.ended = [], time.perf_counter()


def _training(model: Model, tiles: NDArray[np.uint8], shape: speeds.Shape, seconds: float) -> dict[str, list[float]]:
    """Train until the time is up; return seconds a training cell, a validation cell, and between two epochs."""
    # Pairs are two images a class, so the benchmark has half as many classes as a minibatch has images.
    size = max(LEAST, shape.minibatch // 2 * 2) if model.pairs else shape.minibatch
    watch = _Stopwatch(size, seconds)
    rows = np.arange(STEPS * size), np.arange(STEPS * size, (STEPS + CHECKS) * size)
    r = elbo.resolve_r("elbo", shape.channels, shape.size)
    settings = Settings(0, 100_000, size, 1e-5, Objective(r))
    labels = _labels(len(tiles), size // 2) if model.pairs else None
    with tempfile.TemporaryDirectory(prefix="morphospace-") as folder, contextlib.suppress(_EnoughError):
        fitting.fit(model, tiles, *rows, settings, Path(folder), "benchmark", watch, labels)
    return watch.rates


def _labels(count: int, classes: int) -> Labels:
    """Return labels of generated tiles: as many classes as wanted, taking turns."""
    number, one = np.arange(count), np.zeros(count, np.int64)
    return Labels(one, number, number % classes, one, [str(n) for n in range(classes)], "class")


def _scoring(model: Model, tiles: NDArray[np.uint8], latents: int, seconds: float) -> dict[str, list[float]]:
    """Return seconds a cell to embed, to score, to score all floors, and to fit them; `fit_once` is once a PCA."""
    rows = np.arange(len(tiles))
    pictures = floors.trivial(tiles, rows)
    width = int(np.prod(tiles.shape[1:]))
    guess = np.random.default_rng(0).standard_normal((width, min(latents + OVERSAMPLED, width)), dtype=np.float32)
    start = time.perf_counter()
    basis = np.linalg.qr(guess)[0]  # as each pass of PCA begins
    once = time.perf_counter() - start
    pca = floors.Components(pictures["mean"].ravel(), basis, tiles.shape[1:], len(rows), 1)

    def published(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        return embedding.predict(model, x, embedding.FEW, 255.0, np.random.default_rng(0))

    def score() -> None:
        similarity.evaluate(
            tiles, rows, lambda x: embedding.reconstruct(model, x, embedding.FEW), "model", with_ssim=True
        )
        similarity.legacy(tiles, rows, published)

    def score_floors() -> None:
        for picture in pictures.values():
            similarity.evaluate(tiles, rows, partial(_always, picture), "floor")
        similarity.evaluate(tiles, rows, lambda x: x.astype(np.float32) / np.float32(255), "perfect")
        similarity.evaluate(tiles, rows, pca.reconstruct, "PCA", with_ssim=True)
        for _ in range(2 if model.reconstructs else 0):  # test cells have two steps of the thesis apart
            similarity.legacy(tiles, rows, published)

    project = _repeated(lambda: pca.reconstruct(tiles), len(tiles), seconds)  # the products of one pass
    count = _repeated(lambda: floors.trivial(tiles, rows), len(tiles), seconds)
    return {
        "embed": _repeated(lambda: embedding.encode(model, tiles, 128), len(tiles), seconds),
        "score": _repeated(score, len(tiles), seconds) if model.reconstructs else [0.0],
        "floors": _repeated(score_floors, len(tiles), seconds),
        "fit": [PASSES * p + c for p, c in zip(project, count, strict=False)],
        "fit_once": [PASSES * once],
    }


def _always(picture: NDArray[np.float32], originals: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.broadcast_to(picture, originals.shape)


def _repeated(work: Callable[[], Any], items: int, seconds: float) -> list[float]:
    """Return seconds an item of some work, after a first time that is not counted."""
    work()
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < REPEATS or (time.perf_counter() < until and len(found) < 20):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append((time.perf_counter() - start) / items)
    return found
