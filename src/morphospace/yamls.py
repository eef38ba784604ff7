"""YAML as DVC reads it, version 1.2: ``1e-3`` is a number, ``no`` is text. A mistake is one line, with its number."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from morphospace.errors import ParameterError

_CURES = {  # of what people type most
    "'\\t' that cannot start": "a tab; indent with spaces",
    "mapping values are not allowed": "': ' inside a value (put it in quotes), or a line that is indented wrongly",
    "undefined alias": "a value that starts with '*'; put it in quotes",
    "cannot start any token": "a value that starts with a sign of YAML's own (@ ` %); put it in quotes",
    "another document": "'---' begins a second document; a file is one",
    "could not determine a constructor": "'!' begins a tag, which is not read; put such a value in quotes",
}


def sections(path: Path) -> dict[str, Any]:
    """Return a file of named sections.

    Raises
    ------
    ParameterError
        When it is missing, empty, not UTF-8, not YAML, names a key twice, or is no mapping: one line, which names the
        line of the file.
    """
    text = _text(path)
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError:
        raise ParameterError(f"{path}: {_twice(text)}") from None
    except MarkedYAMLError as error:
        raise ParameterError(f"{path}: {_where(error)}") from None
    except (YAMLError, ValueError) as error:  # a character that is none, or a date such as 2020-99-99
        raise ParameterError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ParameterError(f"{path} is not YAML: it is nested too deeply") from None
    if found is None:
        raise ParameterError(f"{path} is empty; bring it back with `git checkout {path}`")
    if not isinstance(found, dict):
        raise ParameterError(f"{path}: line 1: a {type(found).__name__}, and not the names of sections")
    return found


def line(path: Path, keys: Sequence[str]) -> int | None:
    """Return the line on which a key stands, from 1: of the innermost of `keys` that is there, None when none is."""
    node = YAML(typ="safe", pure=True).compose(_text(path))
    found = None
    for key in keys:
        here = [(k, v) for k, v in node.value if k.value == key] if isinstance(node, MappingNode) else []
        if not here:
            break
        name, node = here[-1]
        found = int(name.start_mark.line) + 1
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ParameterError(f"{path} is not here; run from the root of the repository") from None
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ParameterError(f"{path}: line {number}: it is not UTF-8; save the file as UTF-8") from None


def _where(error: MarkedYAMLError) -> str:
    """Say what is wrong, in words where they are known, and on which line."""
    problem = " ".join(str(error.problem).split())
    said = next((cure for sign, cure in _CURES.items() if sign in problem), f"not YAML: {problem}")
    began = error.context_mark.line + 1 if error.context_mark else 0
    number = error.problem_mark.line + 1 if error.problem_mark else began
    if said.startswith("not YAML") and began and began != number:
        said += f"; what is not ended begins on line {began}"
    return f"line {number}: {said}"


def _twice(text: str) -> str:
    """Name each key that stands twice in one mapping, with both lines."""
    return "; ".join(
        f"lines {first} and {second} both set {'.'.join(keys)}: keep one of them"
        for keys, first, second in _repeated(YAML(typ="safe", pure=True).compose(text), (), set())
    )


def _repeated(node: Node | None, above: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield keys that are set twice, and the two lines; an alias is looked at once."""
    if node is None or id(node) in seen or not isinstance(node.value, list):
        return
    seen.add(id(node))
    if not isinstance(node, MappingNode):
        for item in node.value:
            yield from _repeated(item, above, seen)
        return
    lines: dict[str, int] = {}
    for name, value in node.value:
        key, number = str(name.value), int(name.start_mark.line) + 1
        if key in lines:
            yield (*above, key), lines[key], number
        lines.setdefault(key, number)
        yield from _repeated(value, (*above, key), seen)
