"""What a stage found: its whole record, and of it the few numbers that people compare. Both name the data set first."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from morphospace import files
from morphospace.errors import InputError

DATASET = "dataset"


def write(metrics: Path, record: Path, dataset: str, found: Mapping[str, Any], compared: Sequence[str]) -> None:
    """Write the record of a stage, and its metrics beside it.

    Parameters
    ----------
    metrics
        JSON to write for ``dvc metrics``: the data set and the numbers in `compared`.
    record
        JSON to write for the report and for later stages: the data set and all of `found`, its words too.
    dataset
        What people call the data.
    found
        All that the stage found.
    compared
        Keys of `found` whose values are numbers: a dot leads into a mapping, ``*`` stands for each of its keys. A key
        that `found` lacks is left out.

    Raises
    ------
    TypeError
        When one of `compared` is no number: sentences and lists make ``dvc metrics diff`` too wide to read.
    """
    files.write_json(record, {DATASET: dataset, **found})
    files.write_json(metrics, {DATASET: dataset, **numbers(found, compared)})


def numbers(found: Mapping[str, Any], compared: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of a record that are compared, nested as they are in it; see `write`."""
    chosen: dict[str, Any] = {}
    for name in compared:
        for path, value in _walk(found, name.split(".")):
            if not isinstance(value, bool | int | float | None) and not hasattr(value, "item"):
                raise TypeError(f"{'.'.join(path)} is {value!r}: only numbers are compared")
            inner = chosen
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = value
    return chosen


def _walk(values: Any, parts: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield keys and value of each place that the parts lead to."""
    if not parts:
        yield (), values
    elif isinstance(values, Mapping):
        for key in values if parts[0] == "*" else [k for k in values if k == parts[0]]:
            for path, value in _walk(values[key], parts[1:]):
                yield (str(key), *path), value


def read(path: Path, dataset: str) -> dict[str, Any]:
    """Return the record of a stage of this data set.

    Of one kind of data set, such as two folders, the stages tell old from new by their content; records may then carry
    the names of both.

    Raises
    ------
    InputError
        When it is missing, is no record, or is of another data set: it was left by an earlier run.
    """
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get(DATASET), str):
        raise InputError(f"{path} does not name its data set; run `dvc repro`")
    if kind(found[DATASET]) != kind(dataset):
        raise InputError(
            f"{path} is the result of another data set, {found[DATASET]!r}, and params.yaml says {dataset!r}; "
            "`dvc repro` runs every stage that has not seen it"
        )
    return found


def kind(dataset: str) -> str:
    """Return which kind of data set it is, the value of `dataset` in ``params.yaml``."""
    return dataset.partition(":")[0]
