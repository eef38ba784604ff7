"""Why a number of a record could not be computed: each null in it is named beside its reason, in one place."""

from collections.abc import Iterator, Mapping
from typing import Any

KEY = "not_measured"  # of a record: the keys that are null, by the reason


def explained(found: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return a record with the reasons of its numbers that could not be computed, under `KEY`.

    Parameters
    ----------
    found
        Numbers and words; a dot in a key of `reasons` leads into a mapping.
    reasons
        Why a number is null, by its key; those of numbers that are there are left out.
    """
    grouped: dict[str, list[str]] = {}
    for key in _nulls(found):
        if why := reasons.get(key):
            grouped.setdefault(why, []).append(key)
    return {**found, KEY: grouped} if grouped else dict(found)


def joined(*records: Mapping[str, Any]) -> dict[str, Any]:
    """Return several records as one, with the reasons of all."""
    found = {key: value for record in records for key, value in record.items() if key != KEY}
    return explained(found, {key: why for r in records for why, keys in (r.get(KEY) or {}).items() for key in keys})


def nested(found: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return a record with the reasons of one of its parts, a record itself, beside its own."""
    known = {f"{part}.{key}": why for why, keys in (found[part].get(KEY) or {}).items() for key in keys}
    inner = {key: value for key, value in found[part].items() if key != KEY}
    return joined(found, explained({part: inner}, known))


def of(found: Mapping[str, Any], key: str) -> str:
    """Return why the number `key` of a record is null, or nothing where no reason is known."""
    known: Mapping[str, list[str]] = found.get(KEY) or {}
    return next((why for why, keys in known.items() if key in keys), "")


def missing(found: Mapping[str, Any]) -> list[str]:
    """Return the keys of the numbers of a record that are null without a reason: there must be none."""
    return [key for key in _nulls(found) if not of(found, key)]


def _nulls(values: Any, before: str = "") -> Iterator[str]:
    """Yield the keys of what is no number in nested mappings and lists: None, NaN and infinite values."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key != KEY:
                yield from _nulls(value, f"{before}.{key}" if before else str(key))
    elif isinstance(values, list | tuple):
        for i, value in enumerate(values):
            yield from _nulls(value, f"{before}.{i}")
    elif values is None or (hasattr(values, "__float__") and not abs(float(values)) < float("inf")):
        yield before
