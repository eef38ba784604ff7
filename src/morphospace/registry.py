"""Plug-ins by file name: ``models/conv_vae.py`` is the model ``conv_vae``. The folder is the registry.

Also the check of what a plug-in, or a section of ``params.yaml``, is given.
"""

import difflib
import importlib
import pkgutil
import reprlib
from collections.abc import Callable, Sequence
from datetime import date
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from morphospace.errors import ParameterError

if TYPE_CHECKING:  # what only looks for a plug-in does without pydantic
    from pydantic import BaseModel

T = TypeVar("T", bound="BaseModel")
Line = Callable[[Sequence[str]], int | None]  # of the file, from the path of a key
Kind = Literal["datasets", "models", "segmentation"]


def names(kind: Kind) -> list[str]:
    """Names of the plug-ins of a kind, sorted; files that start with an underscore are not plug-ins."""
    package = importlib.import_module(f"morphospace.{kind}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(kind: Kind, name: str) -> ModuleType:
    """Return the module of a plug-in.

    Raises
    ------
    ParameterError
        When there is no such file, naming the nearest one.
    """
    known = names(kind)
    if name not in known:
        raise ParameterError(f"no {kind} plug-in is called {name!r}{nearest(name, known)}")
    return importlib.import_module(f"morphospace.{kind}.{name}")


def nearest(name: str, known: list[str]) -> str:
    """Return the tail of a message: the closest of the known names, then all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (there are: {', '.join(known)})"


def validated(model: type[T], values: Any, prefix: str, line: Line = lambda _: None) -> T:
    """Return a section of ``params.yaml`` as its model makes it.

    Parameters
    ----------
    model
        The section's class.
    values
        The section.
    prefix
        What stands before each key in a message: the section's name and a dot.
    line
        Gives the line of the file on which a key stands, from its path.

    Raises
    ------
    ParameterError
        One line a mistake: the key, the value, the allowed range, or the nearest valid key.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_line(model, dict(e), prefix, line) for e in error.errors()]
    raise ParameterError("params.yaml: " + "; ".join(lines))


def _line(model: "type[BaseModel]", error: dict[str, Any], prefix: str, line: Line) -> str:
    """Say one pydantic error as line, key, value and what is allowed."""
    path = [str(p) for p in error["loc"] if not str(p).startswith(("constrained-", "literal[", "float", "int"))]
    number = line([*prefix.split(".")[:-1], *path])
    at = "" if number is None else f"line {number}: "
    key = (prefix + ".".join(path)).removesuffix(".")
    if error["type"] == "extra_forbidden":
        return f"{at}unknown key {key}{nearest(path[-1], _keys(model, path[:-1]))}"
    if error["type"] == "missing":
        return f"{at}{key} is missing"
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    if error["type"] == "value_error":
        return f"{at}{key}: {message}"
    if error["type"] == "model_type":
        message = "should be a section: its keys below it, each indented by two spaces"
    if error["type"] == "string_type" and isinstance(error["input"], int | float | date):
        message += "; put it in quotes"
    return f"{at}{key} is {reprlib.repr(error['input'])}, {message}"


def _keys(model: "type[BaseModel]", path: list[str]) -> list[str]:
    """Valid keys at a path of nested models."""
    from pydantic import BaseModel

    for step in path:
        field = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return [f.alias or n for n, f in model.model_fields.items() if not n.endswith("_options")]
