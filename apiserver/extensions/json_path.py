"""The small part of JSONPath that CRDs use.

    .spec.replicas   .spec.items[0].name   .spec.items[-1:]   ..name   .status.conditions[?(@.type=="Ready")].status

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.\.(?P<deep>(?:\\.|[^.\[\]])+) | \.?(?:
        \[\?\(\s*@\.(?P<filter>[\w.\-]+)\s*==\s*(?P<wanted>"[^"]*"|'[^']*'|[\w.\-]+)\s*\)\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<start>-?\d*):(?P<end>-?\d*)(?::(?P<step>\d+))?\]
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | (?P<name>(?:\\.|[^.\[\]])+)
    )""",
    re.X,
)

Step = Callable[[Any], list[Any]]


class BadPath(ValueError):
    """The text is no path that we understand."""


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises BadPath."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or found.end() == at:
            raise BadPath(f"cannot understand {path!r}")
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["filter"] is not None:
        names, wanted = found["filter"].split("."), found["wanted"].strip("\"'")
        return lambda value: [item for item in _items(value) if _text(_at(item, names)) == wanted]
    if found["index"] is not None:
        index = int(found["index"])
        return lambda value: (
            [_items(value)[index]] if -len(_items(value)) <= index < len(_items(value)) else []
        )
    if found["all"] is not None:
        return lambda value: list(value.values()) if isinstance(value, dict) else _items(value)
    if found["start"] is not None:
        part = slice(*(int(found[name]) if found[name] else None for name in ("start", "end", "step")))
        return lambda value: _items(value)[part]
    if found["deep"] is not None:
        wanted_name = found["deep"].replace("\\", "")
        return lambda value: list(_everywhere(value, wanted_name))
    name = found["quoted"] or found["name"].replace("\\", "")
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _everywhere(value: Any, name: str) -> Iterator[Any]:
    """All values under a name, at any depth."""
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for child in value.values():
            yield from _everywhere(child, name)
    elif isinstance(value, list):
        for item in value:
            yield from _everywhere(item, name)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: Any, names: list[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def find(obj: Any, path: str) -> list[Any]:
    """All values at a path."""
    values = [obj]
    for step in parse(path):
        values = [found for value in values for found in step(value)]
    return values


def first(obj: Any, path: str) -> Any:
    """The first value at a path, or None."""
    found = find(obj, path)
    return found[0] if found else None


def put(obj: dict[str, Any], path: str, value: Any) -> None:
    """Write a value at a path of plain names, making what is missing on the way."""
    names = [name for name in path.split(".") if name]
    for name in names[:-1]:
        obj = obj.setdefault(name, {})
    obj[names[-1]] = value


def text(obj: Any, path: str) -> str:
    """The first value at a path as text, for field selectors."""
    return _text(first(obj, path))
