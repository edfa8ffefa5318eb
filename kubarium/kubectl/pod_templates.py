"""The pods that an object makes: where their spec stands in it."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object

PATHS = {"Pod": ("spec",), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec")}
USUAL = ("spec", "template", "spec")


def pod_spec(obj: Object) -> Object | None:
    """The spec of the pods; None if the object makes none."""
    found: Any = obj
    for step in PATHS.get(obj.get("kind", ""), USUAL):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def patch_of(obj: Object, spec: Object) -> Object:
    """A patch of the object that changes the spec of its pods."""
    found = spec
    for step in reversed(PATHS.get(obj.get("kind", ""), USUAL)):
        found = {step: found}
    return found


def all_containers(spec: Object) -> list[tuple[str, Object]]:
    """Each container with the name of the list that it stands in; the usual ones first."""
    return [(field, each) for field in ("containers", "initContainers") for each in spec.get(field) or []]
