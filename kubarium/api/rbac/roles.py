"""Roles, bindings, and the questions asked of their rules.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.authentication import users
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object

GROUP = "rbac.authorization.k8s.io"
ALL = "*"


def rules_of(role: Object) -> list[Object]:
    """The rules of a Role or ClusterRole."""
    return role.get("rules") or []


def subjects_of(binding: Object) -> list[Object]:
    """Who holds the role of a binding."""
    return binding.get("subjects") or []


def subject_keys(user_name: str, groups: Iterable[str]) -> list[str]:
    """Under which keys bindings mention a user: see `subject_key`."""
    return [f"User:{user_name}", *(f"Group:{group}" for group in groups)]


def subject_key(subject: Object, binding_namespace: str = "") -> str:
    """`User:jane`, `Group:system:masters`; a service account is the user that its tokens authenticate."""
    if subject.get("kind") == "ServiceAccount":
        namespace = subject.get("namespace") or binding_namespace
        return "User:" + users.service_account_name(namespace, subject["name"])
    return f"{subject.get('kind')}:{subject.get('name')}"


def resource_rule_allows(
    rule: Object, verb: str, group: str, resource: str, subresource: str, name: str
) -> bool:
    """Does a rule allow a verb on a resource?"""
    return (
        _has(rule.get("verbs"), verb)
        and _has(rule.get("apiGroups"), group)
        and _names_resource(rule.get("resources") or (), resource, subresource)
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
    )


def path_rule_allows(rule: Object, verb: str, path: str) -> bool:
    """Does a rule allow a verb on a path that is no resource?"""
    return _has(rule.get("verbs"), verb) and any(
        path_matches(pattern, path) for pattern in rule.get("nonResourceURLs") or ()
    )


def path_matches(pattern: str, path: str) -> bool:
    """`*` at the end of a pattern stands for anything."""
    return pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def uncovered(wanted: Sequence[Object], held: Sequence[Object]) -> list[Object]:
    """The single rights of `wanted` that no rule of `held` covers; for the check against escalation."""
    return [right for rule in wanted for right in single_rights(rule) if not _covered(right, held)]


def single_rights(rule: Object) -> list[Object]:
    """A rule broken into rules with one verb, one group, one resource, one name each."""
    found: list[Object] = []
    for verb in rule.get("verbs") or ():
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                right: Object = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                given_names = rule.get("resourceNames") or ()
                found += [{**right, "resourceNames": [name]} for name in given_names] or [right]
        found += [{"nonResourceURLs": [url], "verbs": [verb]} for url in rule.get("nonResourceURLs") or ()]
    return found


def _covered(right: Object, held: Sequence[Object]) -> bool:
    return any(_covers(rule, right) for rule in held)


def _covers(rule: Object, right: Object) -> bool:
    if not _has(rule.get("verbs"), right["verbs"][0]):
        return False
    if "nonResourceURLs" in right:
        url = right["nonResourceURLs"][0]
        return any(path_matches(pattern, url) for pattern in rule.get("nonResourceURLs") or ())
    resource, _, subresource = right["resources"][0].partition("/")
    if not _has(rule.get("apiGroups"), right["apiGroups"][0]):
        return False
    if not _names_resource(rule.get("resources") or (), resource, subresource):
        return False
    restricted = rule.get("resourceNames") or ()
    return not restricted or (right.get("resourceNames") or [""])[0] in restricted


def compact(right: Object) -> str:
    """A right as upstream prints it in refusals: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
    shown = (("NonResourceURLs", "nonResourceURLs"), ("APIGroups", "apiGroups"), ("Resources", "resources"),
             ("ResourceNames", "resourceNames"), ("Verbs", "verbs"))  # fmt: skip
    parts = []
    for title, key in shown:
        if right.get(key):
            quoted = " ".join(f'"{value}"' for value in right[key])
            parts.append(f"{title}:[{quoted}]")
    return "{" + ", ".join(parts) + "}"


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return bool(values) and values is not None and (wanted in values or ALL in values)


def _names_resource(resources: Sequence[str], resource: str, subresource: str) -> bool:
    """`pods` is not `pods/log`; `*/scale` is the scale of anything; `*` is everything."""
    if ALL in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def role_name_errors(name: str) -> list[str]:
    """Role and binding names only have to fit into a URL: colons are fine."""
    return names.path_segment_errors(name)


def validate_role(role: Object) -> list[FieldError]:
    """A namespaced role cannot speak of paths."""
    found = _validate_rules(role, namespaced=role.get("kind") == "Role")
    return (
        found
        if role.get("aggregationRule") is None
        else found + _validate_aggregation(role["aggregationRule"])
    )


def _validate_aggregation(rule: Object) -> list[FieldError]:
    path = FieldPath("aggregationRule") / "clusterRoleSelectors"
    selectors = rule.get("clusterRoleSelectors") or []
    if not selectors:
        return [required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")]
    found: list[FieldError] = []
    for index, selector in enumerate(selectors):
        problems = validate_label_selector(selector, path % index)
        if problems:
            problems.append(invalid(path % index, None, "invalid label selector."))
        found += problems
    return found


def validate_role_update(new: Object, old: Object) -> list[FieldError]:
    """A changed role is judged like a new one."""
    return validate_role(new)


def _validate_rules(role: Object, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(rules_of(role)):
        path = FieldPath("rules") % index
        if not rule.get("verbs"):
            found.append(required(path / "verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if namespaced:
                found.append(invalid(path / "nonResourceURLs", rule["nonResourceURLs"],
                                      "namespaced rules cannot apply to non-resource URLs"))  # fmt: skip
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(invalid(path / "nonResourceURLs", rule["nonResourceURLs"], text))
            continue
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            found.append(required(path / "apiGroups", text))
        if not rule.get("resources"):
            found.append(required(path / "resources", "resource rules must supply at least one resource"))
    return found


def validate_binding(binding: Object) -> list[FieldError]:
    """A binding names one role and any number of subjects."""
    found: list[FieldError] = []
    reference = binding.get("roleRef") or {}
    path = FieldPath("roleRef")
    namespaced = binding.get("kind") == "RoleBinding"
    kinds = ["Role", "ClusterRole"] if namespaced else ["ClusterRole"]
    if reference.get("apiGroup") != GROUP:
        found.append(not_supported(path / "apiGroup", reference.get("apiGroup") or "", [GROUP]))
    if reference.get("kind") not in kinds:
        found.append(not_supported(path / "kind", reference.get("kind") or "", kinds))
    if not reference.get("name"):
        found.append(required(path / "name", ""))
    else:
        found += [invalid(path / "name", reference["name"], problem)
                  for problem in role_name_errors(reference["name"])]  # fmt: skip
    for index, subject in enumerate(subjects_of(binding)):
        found += _validate_subject(subject, FieldPath("subjects") % index, namespaced)
    return found


def _validate_subject(subject: Object, path: FieldPath, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if not subject.get("name"):
        found.append(required(path / "name", ""))
    match subject.get("kind"):
        case "ServiceAccount":
            if subject.get("name"):
                found += [invalid(path / "name", subject["name"], problem)
                          for problem in names.dns_subdomain_errors(subject["name"])]  # fmt: skip
            if subject.get("apiGroup"):
                found.append(not_supported(path / "apiGroup", subject["apiGroup"], [""]))
            if not namespaced and not subject.get("namespace"):
                found.append(required(path / "namespace", ""))
        case "User" | "Group":
            if subject.get("apiGroup") != GROUP:
                found.append(not_supported(path / "apiGroup", subject.get("apiGroup") or "", [GROUP]))
        case kind:
            found.append(not_supported(path / "kind", kind or "", ["ServiceAccount", "User", "Group"]))
    return found


def validate_binding_update(new: Object, old: Object) -> list[FieldError]:
    """Another role is another binding."""
    found = validate_binding(new)
    if new.get("roleRef") != old.get("roleRef"):
        found.append(invalid(FieldPath("roleRef"), new.get("roleRef"), "cannot change roleRef"))
    return found
