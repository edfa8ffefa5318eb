"""What a resize may change: cpu and memory of the pod, its containers and its sidecars, never to nothing.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/#limitations
"""

from __future__ import annotations

from kubarium.api.core.pod import resources, validation
from kubarium.api.core.pod.static import is_mirror
from kubarium.apimachinery import quantity
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, forbidden, invalid
from kubarium.apimachinery.object import Object

RESIZABLE = ("cpu", "memory")

NOT_RENAMED = "containers may not be renamed or reordered on resize"
ONLY = "only cpu and memory resources are mutable"
ONLY_SIDECARS = "only cpu and memory resources for sidecar containers are mutable"
NOT_INIT = "resources for non-sidecar init containers are immutable"


def same_containers(new: Object, old: Object) -> bool:
    """Has the pod still the same containers in the same order?"""
    return all(_names(new, part) == _names(old, part) for part in ("containers", "initContainers"))


def validate_resize(new: Object, old: Object) -> list[FieldError]:
    """A change through `pods/resize`."""
    if is_mirror(old):
        return [forbidden(FieldPath(), "static pods cannot be resized")]
    if ((old.get("spec") or {}).get("os") or {}).get("name") == "windows":
        return [forbidden(FieldPath(), "windows pods cannot be resized")]
    moved = _moved(new, old)
    if moved:
        return moved
    found = validation.validate(new)
    before = (old.get("status") or {}).get("qosClass") or resources.qos_class(old)
    if resources.qos_class(new) != before:
        text = "Pod QOS Class may not change as a result of resizing"
        found.append(invalid(SPEC, before, text))
    found += _changes(new["spec"], old["spec"], SPEC / "resources", ONLY)
    for part in ("initContainers", "containers"):
        pairs = zip(new["spec"].get(part) or [], old["spec"].get(part) or [], strict=True)
        for index, (after, was) in enumerate(pairs):
            at = SPEC / part % index / "resources"
            if part == "initContainers" and not resources.is_restartable_init(was):
                if _amounts(after) != _amounts(was) or after.get("resizePolicy") != was.get("resizePolicy"):
                    found.append(forbidden(SPEC, NOT_INIT))
                continue
            found += _changes(after, was, at, ONLY if part == "containers" else ONLY_SIDECARS)
    return found


def _moved(new: Object, old: Object) -> list[FieldError]:
    found = []
    for part in ("containers", "initContainers"):
        after, before = _names(new, part), _names(old, part)
        if len(after) != len(before):
            return [forbidden(SPEC / part, "containers may not be added or removed on resize")]
        for index, (name, was) in enumerate(zip(after, before, strict=True)):
            if name != was:
                found.append(forbidden(SPEC / part % index / "name", NOT_RENAMED))
    return found


def _names(pod: Object, part: str) -> list[str]:
    return [container.get("name") or "" for container in (pod.get("spec") or {}).get(part) or []]


def _changes(new: Object, old: Object, at: FieldPath, only: str) -> list[FieldError]:
    after, before = new.get("resources") or {}, old.get("resources") or {}
    found = []
    for side in ("requests", "limits"):
        if not set(before.get(side) or {}) <= set(after.get(side) or {}):
            found.append(forbidden(at / side, f"resource {side} cannot be removed"))
    if not found and _amounts(new, RESIZABLE) != _amounts(old, RESIZABLE):
        found.append(forbidden(SPEC, only))
    return found


def _amounts(owner: Object, without: tuple[str, ...] = ()) -> Object:
    """All that the pod or container asks for; the same amount may be written in several ways."""
    given = owner.get("resources") or {}
    found: Object = {"claims": given.get("claims") or []}
    for side in ("requests", "limits"):
        texts = given.get(side) or {}
        found[side] = {name: quantity.milli_value(texts[name]) for name in texts if name not in without}
    return found
