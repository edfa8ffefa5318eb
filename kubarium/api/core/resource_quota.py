"""ResourceQuota: what a namespace may use at most, perhaps only its pods of some sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core.quota_usage import COMPUTE
from kubarium.apimachinery import quantity
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, invalid
from kubarium.apimachinery.field_path import immutable as unchanged
from kubarium.apimachinery.object import Object, spec_of

_COUNTS = frozenset(
    {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
     "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}
)  # fmt: skip
_AMOUNTS = frozenset(
    {*COMPUTE, "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "requests.storage"}
)  # fmt: skip
_OF_PODS = frozenset({"pods", *COMPUTE})
_SCOPES = {
    "Terminating": _OF_PODS,
    "NotTerminating": _OF_PODS,
    "BestEffort": frozenset({"pods"}),
    "NotBestEffort": _OF_PODS,
    "PriorityClass": _OF_PODS,
    "CrossNamespacePodAffinity": _OF_PODS,
    "VolumeAttributesClass": None,
}
"""What may be counted in each scope; None: anything."""
_OPPOSITES = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))


def validate(quota: Object) -> Sequence[FieldError]:
    """Names that quotas know, amounts that make sense, scopes that fit to both."""
    spec = spec_of(quota)
    hard = spec.get("hard") or {}
    found = [error for name, amount in hard.items() for error in _limit_errors(name, amount)]
    if spec.get("scopes"):
        found += _scope_errors(SPEC / "scopes", spec["scopes"], hard)
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if selected:
        names = [one.get("scopeName") or "" for one in selected]
        found += _scope_errors(SPEC / "scopeSelector" / "matchExpressions", names, hard)
    return found


def validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    """The scopes stay as they were."""
    before, now = set(spec_of(old).get("scopes") or ()), set(spec_of(new).get("scopes") or ())
    return [*validate(new), *unchanged(SPEC / "scopes", sorted(now), sorted(before))]


def _limit_errors(name: str, amount: object) -> Iterable[FieldError]:
    path = (SPEC / "hard").key(name)
    plain = name.removeprefix("requests.")
    if "/" not in name and name not in _COUNTS | _AMOUNTS and not plain.startswith("hugepages-"):
        yield invalid(path, name, "must be a standard resource for quotas")
    if quantity.compare(str(amount), 0) < 0:
        yield invalid(path, str(amount), "must be greater than or equal to 0")
    if name in _COUNTS and quantity.milli_value(str(amount)) % 1000:
        yield invalid(path, str(amount), "must be an integer")


def _scope_errors(path: FieldPath, scopes: Sequence[str], hard: Iterable[str]) -> Iterable[FieldError]:
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid(path, list(scopes), "unsupported scope")
            continue
        countable = _SCOPES[scope]
        if countable is not None and any(name not in countable for name in hard):
            yield invalid(path, list(scopes), "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _OPPOSITES):
        yield invalid(path, list(scopes), "conflicting scopes")
