"""Events, which v1 and events.k8s.io/v1 show in two forms; kept as v1."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.registry.strategy import Strategy
from kubarium.api.core import event
from kubarium.apimachinery import names
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object

_PARTS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

# (events.k8s.io/v1, v1): fields that only have other names
_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_NAMES = {core: new for new, core in _NAMES.items()} | {"reportingInstance": "reportingInstance"}
_ALWAYS_IN_CORE = {"reportingComponent": "", "reportingInstance": ""}
"""What v1 writes although it is empty, and events.k8s.io/v1 does not."""


def to_core(shown: Object) -> Object:
    """events.k8s.io/v1 -> v1."""
    named = {_NAMES.get(name, name): value for name, value in shown.items()} | {"apiVersion": "v1"}
    return {**_ALWAYS_IN_CORE, **named}


def from_core(kept: Object) -> Object:
    """v1 -> events.k8s.io/v1."""
    return {
        _CORE_NAMES.get(name, name): value
        for name, value in kept.items()
        if value or name not in _ALWAYS_IN_CORE
    } | {"apiVersion": "events.k8s.io/v1"}


def _reference(part: str) -> FieldGetter:
    return lambda kept: (kept.get("involvedObject") or {}).get(part) or ""


def _text(field_name: str) -> FieldGetter:
    return lambda kept: kept.get(field_name) or ""


def _source(kept: Object) -> str:
    return (kept.get("source") or {}).get("component") or kept.get("reportingComponent") or ""


SELECTABLE: Mapping[str, FieldGetter] = {
    **{f"involvedObject.{part}": _reference(part) for part in _PARTS},
    "reason": _text("reason"),
    "reportingComponent": _text("reportingComponent"),
    "source": _source,
    "type": _text("type"),
}
NEW_SELECTABLE: Mapping[str, FieldGetter] = {
    **{f"regarding.{part}": _reference(part) for part in _PARTS},
    "reason": _text("reason"),
    "reportingController": _text("reportingComponent"),
    "type": _text("type"),
}
"""What can be selected on events.k8s.io/v1, read from the kept v1 form."""

EVENT = Strategy(
    validate=event.validate,
    validate_update=event.validate_update,
    name_errors=names.path_segment_errors,
    finalizers_with_domain=False,
    has_status=False,
    allow_create_on_update=True,
    expires=True,
    never_collected=True,
    selectable_fields=SELECTABLE,
)
NEW_EVENT = Strategy(
    validate=event.validate_new,
    validate_update=event.validate_new_update,
    error_group="",
    has_status=False,
    allow_create_on_update=True,
    expires=True,
    never_collected=True,
    selectable_fields=NEW_SELECTABLE,
)
