"""What may change after a pod was created: image, deadline, tolerations, gates; the rest through subresources."""

from __future__ import annotations

from typing import Any

from kubarium.api.core.pod import spec_text, validation
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
    if before.get("schedulingGates"):
        found += _narrowing(after, before)
    _keep_what_may_change(after, before)
    if _bare(after) != _bare(before):
        found.append(forbidden(SPEC, f"{FORBIDDEN}\n{spec_text.difference(before, after)}"))
    return found


def _keep_what_may_change(after: Object, before: Object) -> None:
    """Put the old values into the new spec, so that only what may not change differs."""
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _keep(after, before, field)
    for field in ("containers", "initContainers"):
        for container, old in zip(after.get(field) or (), before.get(field) or (), strict=True):
            _keep(container, old, "image")
    if before.get("terminationGracePeriodSeconds", 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        _keep(after, before, "terminationGracePeriodSeconds")


def _keep(after: Object, before: Object, field: str) -> None:
    if field in before:
        after[field] = before[field]
    else:
        after.pop(field, None)


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
    added = [
        (index, gate.get("name"))
        for index, gate in enumerate(after.get("schedulingGates") or [])
        if gate.get("name") not in old
    ]
    return [
        forbidden(
            SPEC / "schedulingGates" % index / "name",
            f"only deletion is allowed, but found new scheduling gate '{name}'",
        )
        for index, name in added
    ]


def _narrowing(after: Object, before: Object) -> list[FieldError]:
    """A pod that waits at a gate may still get node selector entries and node affinity (KEP-3838)."""
    found: list[FieldError] = []
    new, old = after.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(new.get(key) != value for key, value in old.items()):
        at = SPEC / "nodeSelector"
        found.append(invalid(at, new, f"only additions to {at} are allowed (no mutations or deletions)"))
    _keep(after, before, "nodeSelector")
    new_affinity, old_affinity = after.get("affinity") or {}, before.get("affinity") or {}
    if old_affinity.get("nodeAffinity"):
        found += _node_affinity(new_affinity.get("nodeAffinity") or {}, old_affinity["nodeAffinity"])
    kept = {name: value for name, value in new_affinity.items() if name != "nodeAffinity"}
    if "nodeAffinity" in old_affinity:
        kept["nodeAffinity"] = old_affinity["nodeAffinity"]
    after["affinity"] = kept if kept or old_affinity else before.get("affinity")
    return found


def _node_affinity(new: Object, old: Object) -> list[FieldError]:
    """What is required may become more within each term; what is preferred is free."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    before = (old.get(required) or {}).get("nodeSelectorTerms") or []
    after = (new.get(required) or {}).get("nodeSelectorTerms") or []
    at = SPEC / "affinity" / "nodeAffinity" / required / "nodeSelectorTerms"
    if not before:
        return []
    if len(before) != len(after):
        shown = spec_text.shown(after, "core.NodeSelectorTerm")
        return [invalid(at, shown, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")]
    return [
        invalid(
            at % index,
            spec_text.shown(term, "core.NodeSelectorTerm"),
            "only additions are allowed (no mutations or deletions)",
        )
        for index, (term, earlier) in enumerate(zip(after, before, strict=True))
        if not _only_adds(term, earlier)
    ]


def _only_adds(term: Object, earlier: Object) -> bool:
    kinds = ("matchExpressions", "matchFields")
    if not any(earlier.get(kind) for kind in kinds):
        return not any(term.get(kind) for kind in kinds)  # a term that matches nothing must go on doing so
    return all(
        (term.get(kind) or [])[: len(earlier.get(kind) or [])] == (earlier.get(kind) or []) for kind in kinds
    )


def _bare(value: Any) -> Any:
    """Without what says nothing: typed clients leave out `false`, `0` and empty text where absence means the same."""
    if isinstance(value, dict):
        found = {name: _bare(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if not _says_nothing(inner, name)}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _says_nothing(value: Any, key: str) -> bool:
    return not value and (key not in _TELLING or value is None)
