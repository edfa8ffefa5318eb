"""`status`, `scale` and other subresources for any kind, as rows of the catalog need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from apiserver.registry.columns.by_kind import COLUMNS
from apiserver.registry.resource import Subresource
from apiserver.request import RequestContext
from kubarium.apimachinery import errors, labels
from kubarium.apimachinery.field_path import SPEC, FieldError, invalid
from kubarium.apimachinery.group_version import GroupVersionKind, split
from kubarium.apimachinery.object import Object, copy, metadata_of, name_of, spec_of, status_of
from kubarium.apimachinery.rules import NOT_NEGATIVE

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")
EVERY_METHOD = ("create", "delete", "get", "patch", "update")


def status(api_version: str, kind: str) -> Subresource:
    """The part of an object that a controller writes."""
    return Subresource("status", GroupVersionKind(*split(api_version), kind))


def part(
    name: str,
    api_version: str,
    kind: str,
    prepare: Callable[[RequestContext, Object, Object], None],
    validate_update: Callable[[Object, Object], Sequence[FieldError]] | None = None,
    verbs: tuple[str, ...] = ("get", "patch", "update"),
) -> Subresource:
    """Another part of an object that is written apart from the rest."""
    gvk = GroupVersionKind(*split(api_version), kind)
    return Subresource(name, gvk, verbs, prepare=prepare, validate_update=validate_update)


def stream(name: str, api_version: str, kind: str, verbs: tuple[str, ...] = EVERY_METHOD) -> Subresource:
    """A connection to something behind the object."""
    return Subresource(name, GroupVersionKind(*split(api_version), kind), verbs, connects=True)


def label_selector(obj: Object) -> str:
    """`spec.selector` as text, where it is a LabelSelector."""
    selector = spec_of(obj).get("selector")
    return str(labels.from_label_selector(selector)) if selector else ""


def map_selector(obj: Object) -> str:
    """`spec.selector` as text, where it is a plain map."""
    return str(labels.from_map(spec_of(obj).get("selector")))


def scale(selector: Callable[[Object], str] = label_selector) -> Subresource:
    """The window through which anyone may change a number of replicas."""

    def view(obj: Object) -> Object:
        wanted = spec_of(obj).get("replicas")
        return scale_of(obj, wanted, status_of(obj).get("replicas"), selector(obj))

    return Subresource("scale", SCALE, view=view, merge=_with_replicas, columns=COLUMNS["Scale"])


def scale_of(obj: Object, wanted: int | None, seen: int | None, selector: str) -> Object:
    """The Scale that shows an object."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    shown_status: Object = {"replicas": seen or 0}
    if selector:
        shown_status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if metadata.get(name)},
        "spec": {"replicas": wanted} if wanted else {},
        "status": shown_status,
    }


def _with_replicas(stored: Object, window: Object) -> Object:
    wanted = replicas_of(window)
    if wanted < 0:
        wrong = invalid(SPEC / "replicas", wanted, NOT_NEGATIVE)
        raise errors.Invalid.of("autoscaling", "Scale", name_of(stored), [wrong])
    changed = copy(stored)
    changed.setdefault("spec", {})["replicas"] = wanted
    carry_preconditions(changed, window)
    return changed


def replicas_of(window: Object) -> int:
    """What a Scale wants; absent means none."""
    return spec_of(window).get("replicas") or 0


def carry_preconditions(changed: Object, window: Object) -> None:
    """The window's resourceVersion and uid count as the client's for the object."""
    shown: dict[str, Any] = window.get("metadata") or {}
    metadata = metadata_of(changed)
    metadata.pop("resourceVersion", None)
    for name in ("resourceVersion", "uid"):
        if shown.get(name):
            metadata[name] = shown[name]
