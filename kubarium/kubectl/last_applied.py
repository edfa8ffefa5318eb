"""The annotation in which `apply` remembers what it applied last."""

from __future__ import annotations

import json
from pathlib import Path

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object, copy
from kubarium.apimachinery.schema import catalog
from kubarium.apimachinery.schema.structural import Structural
from kubarium.kubectl.jsonpath import escaped
from kubarium.kubectl.names import Kind

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER = "kubectl-client-side-apply"
SCHEMAS = Path("~/.kube/cache/kubarium-schemas")


def remembered(obj: Object) -> Object | None:
    """What was applied last to an object; None if it was not applied."""
    text = (obj["metadata"].get("annotations") or {}).get(ANNOTATION)
    found: Object | None = json.loads(text) if text else None
    return found


def written(obj: Object) -> str:
    """The annotation's text: an object without it, as Go writes it."""
    return escaped(json.dumps(without(obj), separators=(",", ":"), sort_keys=True, ensure_ascii=False)) + "\n"


def without(obj: Object) -> Object:
    """An object as it is applied: with annotations, if none, but without this one."""
    annotations = obj["metadata"].get("annotations") or {}
    left = {key: value for key, value in annotations.items() if key != ANNOTATION}
    return {**obj, "metadata": {**obj["metadata"], "annotations": left}}


def remembering(obj: Object) -> Object:
    """A copy of an object that has itself in its annotation."""
    made = copy(without(obj))
    made["metadata"]["annotations"][ANNOTATION] = written(obj)
    return made


def schema_of(kind: Kind) -> Structural | None:
    """How the lists of a built-in kind are merged; None for kinds that are not built in."""
    return schema_named(kind.group, kind.version, kind.kind)


def schema_named(group: str, version: str, kind: str) -> Structural | None:
    """The same by its name."""
    try:
        known = catalog.load(SCHEMAS.expanduser())
    except OSError:  # no place of our own to keep them in
        known = catalog.load()
    return known.schema(GroupVersionKind(group, version, kind))
