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


def text(
    name: str,
    *path: str,
    wide: bool = False,
    default: Any = "",
    type: str = "string",
    format: str = "",
    about: str = "",
) -> Column:
    """A column that shows one field as it is."""

    def shown(obj: Object) -> Any:
        return read(obj, *path, default=default)

    return Column(name, shown, type, format, priority=int(wide), about=about)


def number(name: str, *path: str, about: str = "", type: str = "integer") -> Column:
    """A column that shows one number; 0 when it is absent."""
    return Column(name, lambda obj: read(obj, *path, default=0), type=type, about=about)


def cell(
    name: str,
    read_cell: Callable[[Object], Any],
    description: str = "",
    *,
    wide: bool = False,
    type: str = "string",
    about: str = "",
) -> Column:
    """A column with a cell of its own."""
    return Column(name, read_cell, type=type, description=description, priority=int(wide), about=about)


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


def shown_selector(selector: Object | None, nothing: str = NONE) -> str:
    """A `LabelSelector` as text."""
    return str(labels.from_label_selector(selector)) or nothing if selector else nothing


def shown_map(mapping: dict[str, str] | None) -> str:
    """`a=1,b=2`, or a word for nothing."""
    return joined(f"{key}={value}" for key, value in sorted((mapping or {}).items()))


def ago(moment: str | None, now: datetime) -> str:
    """How long ago a time was."""
    try:
        return human_duration((now - parse_time(moment)).total_seconds()) if moment else UNKNOWN
    except ValueError:
        return UNKNOWN


def shown_claim_class(obj: Object) -> str:
    """The storage class of a volume or of a claim; the annotation is older than the field and goes before it."""
    annotations = read(obj, "metadata", "annotations", default={})
    old = annotations.get("volume.beta.kubernetes.io/storage-class")
    return str(old if old is not None else read(obj, "spec", "storageClassName"))


def balancers_of(obj: Object) -> str:
    """Where load balancers listen, each address once, in order."""
    ingress = read(obj, "status", "loadBalancer", "ingress", default=[]) or []
    return ",".join(sorted({each.get("ip") or each.get("hostname") or "" for each in ingress} - {""}))


def marked(name: str, *annotations: str) -> Column:
    """The name, and whether the object is the default one of its kind."""

    def shown(obj: Object) -> str:
        written = read(obj, "metadata", "annotations", default={})
        is_default = any(written.get(annotation) == "true" for annotation in annotations)
        return name_of(obj) + (" (default)" if is_default else "")

    return Column(name, shown, format="name", description=NAME_TEXT)


NAMES_TEXT = "Names of each container in the template."
IMAGES_TEXT = "Images referenced by each container in the template."


def containers_at(*path: str, wide: bool = True) -> tuple[Column, Column]:
    """What the containers of a template are called, and which images they run."""

    def found(obj: Object) -> list[Object]:
        return read(obj, *path, "spec", "containers", default=[]) or []

    return (
        cell("Containers", lambda obj: ",".join(c["name"] for c in found(obj)), NAMES_TEXT, wide=wide),
        cell(
            "Images", lambda obj: ",".join(c.get("image") or "" for c in found(obj)), IMAGES_TEXT, wide=wide
        ),
    )


CONTAINERS = containers_at("spec", "template")


def selector(about: str, *path: str, nothing: str = NONE) -> Column:
    """A column with the `LabelSelector` at a path, `spec.selector` unless given."""
    path = path or ("spec", "selector")
    return cell(
        "Selector",
        lambda obj: shown_selector(read(obj, *path, default=None), nothing),
        wide=True,
        about=about,
    )
