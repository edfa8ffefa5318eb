"""An object is a plain dict as on the wire; here stands what all kinds share.

Objects that came from an informer or a cache are read-only: change a `copy`, or send a patch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import orjson

Object: TypeAlias = dict[str, Any]


class ObjectKey(NamedTuple):
    """What names an object among its kind. `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def copy(obj: Object) -> Object:
    """A deep copy that may be changed. Encoding and decoding again is five times as fast as `deepcopy`."""
    fresh: Object = orjson.loads(orjson.dumps(obj))
    return fresh


def key_of(obj: Object) -> ObjectKey:
    """Namespace and name."""
    metadata = obj["metadata"]
    return ObjectKey(metadata.get("namespace") or "", metadata.get("name") or "")


def metadata_of(obj: Object) -> Object:
    """The object's metadata, made if it is absent, so that it can be written to."""
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    found: Object = metadata
    return found


def name_of(obj: Object) -> str:
    """`metadata.name`, or nothing."""
    return (obj.get("metadata") or {}).get("name") or ""


def namespace_of(obj: Object) -> str:
    """`metadata.namespace`, or nothing."""
    return (obj.get("metadata") or {}).get("namespace") or ""


def uid_of(obj: Object) -> str:
    """`metadata.uid`, or nothing."""
    return (obj.get("metadata") or {}).get("uid") or ""


def labels_of(obj: Object) -> dict[str, str]:
    """The labels; an empty mapping when there are none."""
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations; an empty mapping when there are none."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def finalizers_of(obj: Object) -> list[str]:
    """Who still wants to do something before the object goes."""
    return (obj.get("metadata") or {}).get("finalizers") or []


def resource_version_of(obj: Object) -> str:
    """The revision at which the object was last changed, as text."""
    return (obj.get("metadata") or {}).get("resourceVersion") or ""


def generation_of(obj: Object) -> int:
    """How often the wish was changed."""
    return (obj.get("metadata") or {}).get("generation") or 0


def is_deleting(obj: Object) -> bool:
    """Has somebody asked for the object's deletion?"""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def spec_of(obj: Object) -> Object:
    """What is wanted; an empty mapping when the object does not say."""
    return obj.get("spec") or {}


def status_of(obj: Object) -> Object:
    """What was last seen; an empty mapping when nobody has looked yet."""
    return obj.get("status") or {}
