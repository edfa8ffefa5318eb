"""Columns that many kinds have, and small readers for cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from apiserver.registry.strategy import Column
from kubarium.apimachinery import labels
from kubarium.apimachinery.object import Object, name_of
from kubarium.apimachinery.time import human_duration, parse_time

NAME_TEXT = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
CREATED_TEXT = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
UNKNOWN = "<unknown>"
NONE = "<none>"
UNSET = "<unset>"


def created(obj: Object) -> str:
    return (obj.get("metadata") or {}).get("creationTimestamp") or ""


NAME = Column("Name", name_of, format="name", description=NAME_TEXT)
CREATED_AT = Column("Created At", created, type="date", description=CREATED_TEXT)
AGE = Column("Age", created, description=CREATED_TEXT, is_moment=True)
UNDESCRIBED = (NAME, CREATED_AT)
"""The columns of kinds that do not say anything about columns."""


def text(name: str, *path: str, wide: bool = False, default: Any = "") -> Column:
    """A column that shows one field as it is."""
    return Column(name, lambda obj: read(obj, *path, default=default), priority=int(wide))


def number(name: str, *path: str, wide: bool = False) -> Column:
    """A column that shows one number; 0 when it is absent."""
    return Column(name, lambda obj: read(obj, *path, default=0), type="integer", priority=int(wide))


def cell(
    name: str, read_cell: Callable[[Object], Any], *, wide: bool = False, type: str = "string"
) -> Column:
    """A column with a cell of its own."""
    return Column(name, read_cell, type=type, priority=int(wide))


def read(obj: Object, *path: str, default: Any = "") -> Any:
    """The value at a path, or what stands for nothing."""
    value: Any = obj
    for part in path:
        if not isinstance(value, dict):
            return default
        value = value.get(part)
    return default if value is None else value


def joined(items: Iterable[str], nothing: str = NONE) -> str:
    """`a,b`, or a word for nothing."""
    return ",".join(items) or nothing


def shown_selector(selector: Object | None) -> str:
    """A `LabelSelector` as text."""
    return str(labels.from_label_selector(selector)) or NONE if selector else NONE


def shown_map(mapping: dict[str, str] | None) -> str:
    """`a=1,b=2`, or a word for nothing."""
    return joined(f"{key}={value}" for key, value in sorted((mapping or {}).items()))


def ago(moment: str | None, now: datetime) -> str:
    """How long ago a time was."""
    try:
        return human_duration((now - parse_time(moment)).total_seconds()) if moment else UNKNOWN
    except ValueError:
        return UNKNOWN


def _template_containers(obj: Object) -> list[Object]:
    return read(obj, "spec", "template", "spec", "containers", default=[]) or []


CONTAINERS = cell("Containers", lambda obj: joined(c["name"] for c in _template_containers(obj)), wide=True)
IMAGES = cell(
    "Images", lambda obj: joined(c.get("image") or "" for c in _template_containers(obj)), wide=True
)
SELECTOR = cell(
    "Selector", lambda obj: shown_selector(read(obj, "spec", "selector", default=None)), wide=True
)
