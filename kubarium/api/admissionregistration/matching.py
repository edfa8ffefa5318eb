"""Which writes a webhook or a policy wants to hear of: rules, selectors, scopes.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.apimachinery import labels
from kubarium.apimachinery.group_version import GroupVersionResource
from kubarium.apimachinery.object import Object

GROUP = "admissionregistration.k8s.io"
ALL = "*"


def matching_version(
    rules: Iterable[Object],
    operation: str,
    place: GroupVersionResource,
    subresource: str,
    namespaced: bool,
    versions: Sequence[str],
) -> str | None:
    """The version in which a rule wants to see the object; None if no rule matches.

    `versions` are the versions of the resource besides the request's own in which the object could be shown.
    """
    candidates = [place.version, *(version for version in versions if version != place.version)]
    for version in candidates:
        shown = GroupVersionResource(place.group, version, place.resource)
        if any(rule_matches(rule, operation, shown, subresource, namespaced) for rule in rules):
            return version
    return None


def rule_matches(
    rule: Object, operation: str, place: GroupVersionResource, subresource: str, namespaced: bool
) -> bool:
    """Does one rule speak of this write?"""
    return (
        _has(rule.get("operations"), operation)
        and _has(rule.get("apiGroups"), place.group)
        and _has(rule.get("apiVersions"), place.version)
        and any(_is(pattern, place.resource, subresource) for pattern in rule.get("resources") or ())
        and _in_scope(rule.get("scope"), namespaced)
    )


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and (ALL in values or wanted in values)


def _is(pattern: str, resource: str, subresource: str) -> bool:
    """`pods` is not `pods/status`; `pods/*` is both, and so is `*/*`; `*` is everything without subresources."""
    wanted, slash, sub = pattern.partition("/")
    if wanted not in (ALL, resource):
        return False
    if not slash:
        return not subresource
    return sub in (ALL, subresource)


def _in_scope(scope: str | None, namespaced: bool) -> bool:
    return scope in (None, "", ALL) or (scope == "Namespaced") is namespaced


def selects(selector: Object | None, *label_sets: dict[str, str] | None) -> bool:
    """Does a `LabelSelector` match one of these? Absent, it matches everything."""
    if not selector:
        return True
    parsed = labels.from_label_selector(selector)
    return any(parsed.matches(found) for found in label_sets if found is not None)
