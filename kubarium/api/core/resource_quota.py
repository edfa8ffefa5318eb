"""ResourceQuota: what a namespace may use at most, perhaps only its pods of some sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core.quota_usage import COMPUTE
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, InOrder, invalid, required
from kubarium.apimachinery.field_path import immutable as unchanged
from kubarium.apimachinery.object import Object, spec_of

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
    if spec.get("scopeSelector") is not None:
        found += _selector_errors(SPEC / "scopeSelector" / "matchExpressions", spec["scopeSelector"], hard)
    return found


def validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    """The scopes stay as they were."""
    before, now = set(spec_of(old).get("scopes") or ()), set(spec_of(new).get("scopes") or ())
    return [*validate(new), *unchanged(SPEC / "scopes", sorted(now), sorted(before))]


def _limit_errors(name: str, amount: object) -> Iterable[FieldError]:
    path = (SPEC / "hard").key(name)
    problems = names.qualified_name_errors(name)
    yield from (invalid(path, name, text) for text in problems)
    known = name in rules.COUNTED | _AMOUNTS or name.removeprefix("requests.").startswith("hugepages-")
    if "/" not in name and not known:
        if not problems:
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        yield invalid(path, name, "must be a standard resource for quota")
    yield from rules.amount_of(path, name, amount)


def _scope_errors(path: FieldPath, scopes: Sequence[str], hard: Iterable[str]) -> Iterable[FieldError]:
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid(path, list(scopes), "unsupported scope")
        for _ in _uncountable(scope, hard):
            yield invalid(path, list(scopes), "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _OPPOSITES):
        yield invalid(path, list(scopes), "conflicting scopes")


def _selector_errors(path: FieldPath, selector: Object, hard: Iterable[str]) -> Iterable[FieldError]:
    selected = selector.get("matchExpressions") or ()
    for one in (requirement or {} for requirement in selected):
        scope, operator, values = (
            one.get("scopeName") or "",
            one.get("operator") or "",
            one.get("values") or [],
        )
        if scope not in _SCOPES:
            yield invalid(path / "scopeName", scope, "unsupported scope")
        for _ in _uncountable(scope, hard):
            yield invalid(path, _shown(selected), "unsupported scope applied to resource")
        if scope in _ONLY_EXISTS and operator != "Exists":
            yield invalid(path / "operator", operator, _EXISTS_ALONE)
        if operator in ("In", "NotIn"):
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                yield required(path / "values", why)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                yield invalid(path / "values", values, why)
        else:
            yield invalid(path / "operator", operator, "not a valid selector operator")
    scopes = {(one or {}).get("scopeName") for one in selected}
    for _ in (pair for pair in _OPPOSITES if pair <= scopes):
        yield invalid(path, None, "conflicting scopes")


_ONLY_EXISTS = frozenset().union(*_OPPOSITES, {"CrossNamespacePodAffinity"})
_EXISTS_ALONE = (
    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def _uncountable(scope: str, hard: Iterable[str]) -> list[str]:
    """What quotas know, but not in this scope."""
    countable = _SCOPES.get(scope)
    return [] if countable is None else [name for name in sorted(hard) if name in _KNOWN - countable]


_KNOWN = rules.COUNTED | _AMOUNTS


def _shown(selected: Iterable[Object]) -> InOrder:
    """A scope selector as messages show it: by the names of the internal type."""
    fields = {"ScopeName": "scopeName", "Operator": "operator"}
    return InOrder(
        MatchExpressions=[
            {name: one.get(key) or "" for name, key in fields.items()} | {"Values": one.get("values")}
            for one in selected
        ]
    )
