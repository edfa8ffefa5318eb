"""Event: what makes one invalid. Those of events.k8s.io/v1 are judged in the form of v1, by stricter rules.

Source: the field descriptions of `Event`, `k8s.io/kubernetes/pkg/apis/core/validation/events.go` for the wording.
"""

from __future__ import annotations

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import ROOT, FieldError, invalid, required
from kubarium.apimachinery.object import Object, namespace_of

TYPES = ("Normal", "Warning")
_LIMITS = (
    ("reportingInstance", 128, True),
    ("action", 128, True),
    ("reason", 128, True),
    ("message", 1024, False),
)
"""Fields of events with a time: how long at most, and whether they must be there."""
_OLD = ("firstTimestamp", "lastTimestamp", "count")


def validate(event: Object) -> list[FieldError]:
    """An event of v1."""
    return _validate(event, "reportingComponent")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def validate_new(event: Object) -> list[FieldError]:
    """An event of events.k8s.io/v1: with a time, a type, and nothing of the older form."""
    found = [*_validate(event, "reportingController"), *_series_errors(event)]
    if not event.get("eventTime"):
        found.append(required(ROOT / "eventTime"))
    if event.get("type") not in TYPES:
        found.append(invalid(ROOT / "type", "", f"has invalid value: {event.get('type') or ''}"))
    found += [invalid(ROOT / field, "", "needs to be unset") for field in _OLD if event.get(field)]
    if any((event.get("source") or {}).values()):
        found.append(invalid(ROOT / "source", "", "needs to be unset"))
    return found


def validate_new_update(new: Object, old: Object) -> list[FieldError]:
    """Here too everything may change: upstream lists what should stay, but compares the new event with itself.

    Its conformance tests give an event another note. Source: `k8s.io/kubernetes/pkg/registry/core/event/strategy.go`.
    """
    return _validate(new, "reportingController")


def _validate(event: Object, controller: str) -> list[FieldError]:
    found = (
        _timed_errors(event, controller) if event.get("eventTime") else _place_errors(event, ("", "default"))
    )
    where = namespace_of(event)
    return [*found, *(invalid(ROOT / "namespace", where, text) for text in names.dns_subdomain_errors(where))]


def _place_errors(event: Object, without: tuple[str, ...]) -> list[FieldError]:
    """An event is where its object is; those of objects of the cluster are in one of these namespaces."""
    about, where = (event.get("involvedObject") or {}).get("namespace") or "", namespace_of(event)
    if (about == where) if about else (where in without):
        return []
    return [invalid(ROOT / "involvedObject" / "namespace", about, "does not match event.namespace")]


def _timed_errors(event: Object, controller: str) -> list[FieldError]:
    named = (event.get("involvedObject") or {}).get("namespace")
    found = [] if named else _place_errors(event, ("default", "kube-system"))
    name = event.get("reportingComponent") or ""
    if not name:
        found.append(required(ROOT / controller))
    found += [invalid(ROOT / controller, name, text) for text in names.qualified_name_errors(name)]
    for field, most, needed in _LIMITS:
        value = event.get(field) or ""
        if needed and not value:
            found.append(required(ROOT / field))
        if len(value.encode()) > most:
            found.append(invalid(ROOT / field, "", f"can have at most {most} characters"))
    return found


def _series_errors(event: Object) -> list[FieldError]:
    series = event.get("series")
    if series is None:
        return []
    found = []
    if (series.get("count") or 0) < 2:
        found.append(invalid(ROOT / "series" / "count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        found.append(required(ROOT / "series" / "lastObservedTime"))
    return found
