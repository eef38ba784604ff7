"""Runs an engine's pure functions over fields in several processes, keeping what is finished in the scratch folder."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError
from morphospace.segmentation import _engine, _images
from morphospace.segmentation._engine import Function, Group, ImageSet, Labels, Outcome, Settings

T = TypeVar("T")
R = TypeVar("R")
Labeller = Callable[[NDArray[np.float32], NDArray[np.float32], Settings], Labels]


def functions(
    illumination: Callable[[Group], Function], groups: Sequence[Group], scratch: Path, jobs: int
) -> Iterator[Function]:
    """Yield the illumination function of each group, first those of an earlier run."""
    done = set()
    for function in _engine.restored_functions(groups, scratch):
        done.add(function.name)
        yield function
    tasks = [(illumination, group, scratch) for group in groups if group.name not in done]
    yield from _spread(_illuminate, tasks, jobs)


def outcomes(
    labeller: Labeller,
    image_sets: Sequence[ImageSet],
    settings: Settings,
    scratch: Path,
    jobs: int,
    thresholded: bool = True,
) -> Iterator[Outcome]:
    """Yield the outcome of each image set, first those of an earlier run; one that fails stops no other.

    Even images fail where the labeller is `thresholded`.
    """
    done = set()
    for outcome in _engine.restored(image_sets, scratch):
        done.add(outcome.key)
        yield outcome
    left = [image_set for image_set in image_sets if image_set.key not in done]
    tasks = [(labeller, image_set, settings, scratch, thresholded) for image_set in left]
    yield from _spread(_segment, tasks, jobs)


def _illuminate(task: tuple[Callable[[Group], Function], Group, Path]) -> Function:
    illumination, group, scratch = task
    function = illumination(group)
    _engine.store_function(scratch, function)
    return function


def _segment(task: tuple[Labeller, ImageSet, Settings, Path, bool]) -> Outcome:
    labeller, image_set, settings, scratch, thresholded = task
    try:
        labels = labeller(*_images.pair(image_set, settings, thresholded), settings)
    except InputError as error:
        return Outcome(image_set.key, None, f"{image_set.name}: {error}")
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:  # of a library, at pixels it cannot take
        files = f"{image_set.nuclei.name}, {image_set.cells.name}"
        return Outcome(image_set.key, None, f"{image_set.name} ({files}): {type(error).__name__}: {error}")
    _engine.store(scratch, image_set.key, labels)
    return Outcome(image_set.key, labels)


def _spread(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """Yield results as they are ready; at most two tasks a process wait, so that results never pile up."""
    if jobs == 1 or len(tasks) < 2:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context) as pool:
        pending: set[Future[Any]] = set()
        for task in tasks:
            pending.add(pool.submit(function, task))
            if len(pending) >= 2 * jobs:
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ready)
