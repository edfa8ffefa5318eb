"""What may change after a pod was created: image, deadline, tolerations, gates; the rest through subresources."""

from __future__ import annotations

from typing import Any

from kubarium.api.core.pod import validation
from kubarium.apimachinery.field_path import SPEC, FieldError, forbidden, invalid
from kubarium.apimachinery.object import Object, copy

_TELLING = frozenset(
    {
        "allowPrivilegeEscalation", "automountServiceAccountToken", "defaultMode", "enableServiceLinks",
        "expirationSeconds", "fsGroup", "hostUsers", "mode", "optional", "priority", "privileged",
        "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser", "setHostnameAsFQDN",
        "shareProcessNamespace", "terminationGracePeriodSeconds", "tolerationSeconds",
    }
)  # fmt: skip
"""Fields (pointers in Go) where `false` or `0` says something else than nothing at all."""

FORBIDDEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """A change on the pod itself."""
    found = validation.validate(new)
    after, before = copy(new.get("spec") or {}), copy(old.get("spec") or {})
    for field in ("containers", "initContainers"):
        if len(after.get(field) or []) != len(before.get(field) or []):
            found.append(forbidden(SPEC / field, "pod updates may not add or remove containers"))
            return found
    found += _deadline(after, before)
    found += _tolerations(after, before)
    found += _gates(after, before)
    for spec in (after, before):
        for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
            spec.pop(field, None)
        for field in ("containers", "initContainers"):
            for container in spec.get(field) or []:
                container.pop("image", None)
    if before.get("terminationGracePeriodSeconds", 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        after["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    if (old.get("spec") or {}).get("schedulingGates"):
        _allow_narrowing(after, before)
    if _bare(after) != _bare(before):
        found.append(forbidden(SPEC, FORBIDDEN))
    return found


def validate_ephemeral_containers(new: Object, old: Object) -> list[FieldError]:
    """Ephemeral containers may be added, never changed or removed."""
    found = validation.validate(new)
    before = {c.get("name"): c for c in (old.get("spec") or {}).get("ephemeralContainers") or []}
    after = {c.get("name"): c for c in (new.get("spec") or {}).get("ephemeralContainers") or []}
    at = SPEC / "ephemeralContainers"
    for name, container in before.items():
        if name not in after:
            found.append(forbidden(at, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif after[name] != container:
            found.append(forbidden(at, f'existing ephemeral containers "{name}" may not be changed\n'))
    return found


def _deadline(after: Object, before: Object) -> list[FieldError]:
    new, old = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    at = SPEC / "activeDeadlineSeconds"
    if new is not None and old is not None and new > old:
        return [invalid(at, new, "must be less than or equal to previous value")]
    return (
        [invalid(at, new, "must not update from a positive integer to nil value")]
        if new is None and old
        else []
    )


def _tolerations(after: Object, before: Object) -> list[FieldError]:
    def bare(toleration: Object) -> Object:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds" and v not in ("", None)}

    kept = [bare(toleration) for toleration in after.get("tolerations") or []]
    lost = [toleration for toleration in before.get("tolerations") or [] if bare(toleration) not in kept]
    why = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden(SPEC / "tolerations", why)] if lost else []


def _gates(after: Object, before: Object) -> list[FieldError]:
    old = [gate.get("name") for gate in before.get("schedulingGates") or []]
    added = [gate.get("name") for gate in after.get("schedulingGates") or [] if gate.get("name") not in old]
    why = f"only deletion is allowed, but found new scheduling gate '{added[0]}'" if added else ""
    return [forbidden(SPEC / "schedulingGates", why)] if added else []


def _allow_narrowing(after: Object, before: Object) -> None:
    """A pod that waits at a gate may still get node selector entries and node affinity."""
    old_selector = before.get("nodeSelector") or {}
    if all((after.get("nodeSelector") or {}).get(key) == value for key, value in old_selector.items()):
        before["nodeSelector"] = after.get("nodeSelector")
    old_affinity = (before.get("affinity") or {}).get("nodeAffinity")
    new_affinity = (after.get("affinity") or {}).get("nodeAffinity")
    if not old_affinity and new_affinity:
        before.setdefault("affinity", {})["nodeAffinity"] = new_affinity


def _bare(value: Any) -> Any:
    """Without what says nothing: typed clients leave out `false`, `0` and empty text where absence means the same."""
    if isinstance(value, dict):
        found = {name: _bare(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if not _says_nothing(inner, name)}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _says_nothing(value: Any, key: str) -> bool:
    return not value and (key not in _TELLING or value is None)
