"""The price list: of params.yaml, or a file that someone keeps up to date; every price validated, with its date."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from morphospace import registry, tables
from morphospace.errors import InputError, ParameterError
from morphospace.params import Budget, Machine

STALE = 180  # days after which a price is said to be old


class Prices(NamedTuple):
    """A price list: what an hour of each machine costs, in one currency."""

    currency: str
    machines: Mapping[str, Machine]
    where: str

    def of(self, name: str) -> Machine:
        """Return the price of a machine.

        Raises
        ------
        ParameterError
            When the list has no such machine, with the nearest name.
        """
        if name not in self.machines:
            raise ParameterError(
                f"{self.where} has no machine {name!r}{registry.nearest(name, sorted(self.machines))}; add its prices"
            )
        return self.machines[name]


def load(budget: Budget, path: Path | None) -> Prices:
    """Return the list of params.yaml, or that of a CSV or YAML file.

    A CSV has the columns ``machine,spot,on_demand`` and, if it likes, ``date,source,currency``; a YAML file has what
    the section `budget` has: ``currency`` and ``machines``.

    Raises
    ------
    InputError
        Naming the file, the row or the machine, and what is wrong there.
    """
    if path is None:
        return Prices(budget.currency, budget.machines, "params.yaml: budget.machines")
    if not path.is_file():
        raise InputError(f"the price list {path} cannot be read: there is no such file")
    rows, currency = _csv(path) if tables.is_csv(path) else _yaml(path)
    if not rows:
        raise InputError(f"the price list {path} names no machine")
    found = {name: _machine(path, name, values) for name, values in rows.items()}
    return Prices(currency or budget.currency, found, str(path))


def age(machine: Machine, today: datetime.date) -> str:
    """Return what is to be said of the date of a price: that it has none, or is old; nothing when it is recent."""
    if machine.date is None:
        return "its price has no date"
    parts = machine.date.split("-")
    latest = datetime.date.fromisoformat("-".join([*parts, *("12", "28")[len(parts) - 1 :]]))
    days = (today - latest).days
    return f"its price is of {machine.date}, {days:,} days old or more" if days > STALE else ""


def _csv(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    table = tables.read_csv(path)
    lacking = {"machine", "spot", "on_demand"} - set(table.columns)
    if lacking:
        raise InputError(f"the price list {path} lacks the column {', '.join(sorted(lacking))}")
    rows: dict[str, dict[str, Any]] = {}
    currencies = set()
    for number, row in enumerate(table.to_dict("records"), start=2):
        name = row.pop("machine").strip()
        if not name or name in rows:
            raise InputError(f"the price list {path}, line {number}: the machine {name!r} is empty or comes twice")
        currencies.add(row.pop("currency", "").strip())
        rows[name] = {str(key): value.strip() for key, value in row.items() if value.strip()}
    if len(currencies) > 1:
        raise InputError(f"the price list {path} has several currencies: {', '.join(sorted(currencies))}")
    return rows, next(iter(currencies), "")


def _yaml(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the price list {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"the price list {path} is not YAML: {' '.join(str(error).split())}") from None
    rows = raw.get("machines") if isinstance(raw, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(values, dict) for values in rows.values()):
        raise InputError(f"the price list {path} needs `machines: {{name: {{spot: 1.8, on_demand: 3.3}}}}`")
    # YAML reads 2026-11-21 as a date and 2020 as a number.
    dated = {str(n): v | ({"date": str(v["date"])} if v.get("date") is not None else {}) for n, v in rows.items()}
    return dated, str(raw.get("currency") or "")


def _machine(path: Path, name: str, values: dict[str, Any]) -> Machine:
    try:
        found = Machine.model_validate(values)
        age(found, datetime.date.today())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise InputError(f"the price list {path}, machine {name}: {where}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"the price list {path}, machine {name}: date {values.get('date')}: {error}") from None
    return found
