"""What FlowSchemas and PriorityLevelConfigurations must be like.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/ and the messages of kube-apiserver
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kubarium.api.flowcontrol.priority import ALL, rules_of
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, name_of, spec_of, status_of

HIGHEST_PRECEDENCE = 10_000
MOST_QUEUES = 10_000_000
HASH_BITS = 60  # of which the hand of a flow is dealt
EXEMPT, CATCH_ALL = "exempt", "catch-all"
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_IN_LIST = "each member of this list must be '*' or a DNS-1123 label; "


def _for_groups(level: str, precedence: int, *groups: str) -> Object:
    rule = {"verbs": [ALL], "apiGroups": [ALL], "resources": [ALL], "clusterScope": True, "namespaces": [ALL]}
    return {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [
            {
                "subjects": [{"kind": "Group", "group": {"name": group}} for group in groups],
                "resourceRules": [rule],
                "nonResourceRules": [{"verbs": [ALL], "nonResourceURLs": [ALL]}],
            }
        ],
    }


_FIXED_SCHEMAS = {
    EXEMPT: _for_groups(EXEMPT, 1, "system:masters"),
    CATCH_ALL: {
        **_for_groups(CATCH_ALL, HIGHEST_PRECEDENCE, "system:unauthenticated", "system:authenticated"),
        "distinguisherMethod": {"type": "ByUser"},
    },
}
_FIXED_CATCH_ALL = {
    "type": "Limited",
    "limited": {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}},
}


# --------------------------------------------------------------------------------------------------- flow schemas


def validate_flow_schema(schema: Object) -> list[FieldError]:
    """All that is wrong with a FlowSchema."""
    spec, name = spec_of(schema), name_of(schema)
    found = _validate_precedence(name, spec.get("matchingPrecedence") or 0, SPEC / "matchingPrecedence")
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        shown = {"Type": method.get("type") or ""}
        found.append(not_supported(SPEC / "distinguisherMethod" / "type", shown, ("ByNamespace", "ByUser")))
    level, path = (
        (spec.get("priorityLevelConfiguration") or {}).get("name"),
        SPEC / "priorityLevelConfiguration",
    )
    if level:
        found += [invalid(path / "name", level, text) for text in names.dns_subdomain_errors(level)]
    else:
        found.append(required(path / "name", "must reference a priority level"))
    for index, rule in enumerate(rules_of(schema)):
        found += _validate_rule(rule, SPEC / "rules" % index)
    if name in _FIXED_SCHEMAS and spec != _FIXED_SCHEMAS[name]:
        found.append(invalid(SPEC, spec, f"spec of '{name}' must equal the fixed value"))
    return found + validate_conditions(schema)


def _validate_precedence(name: str, precedence: int, path: FieldPath) -> list[FieldError]:
    if precedence <= 0:
        return [invalid(path, precedence, "must be a positive value")]
    if precedence > HIGHEST_PRECEDENCE:
        return [invalid(path, precedence, f"must not be greater than {HIGHEST_PRECEDENCE}")]
    if precedence == 1 and name != EXEMPT:
        return [invalid(path, 1, "only the schema named 'exempt' may have matchingPrecedence 1")]
    return []


def _validate_rule(rule: Object, path: FieldPath) -> list[FieldError]:
    found = []
    for index, subject in enumerate(rule.get("subjects") or ()):
        found += _validate_subject(subject, path / "subjects" % index)
    if not rule.get("subjects"):
        found.append(required(path / "subjects", "subjects must contain at least one value"))
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        found.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, one in enumerate(rule.get("resourceRules") or ()):
        found += _validate_resources(one, path / "resourceRules" % index)
    for index, one in enumerate(rule.get("nonResourceRules") or ()):
        found += _validate_paths(one, path / "nonResourceRules" % index)
    return found


def _validate_subject(subject: Object, path: FieldPath) -> list[FieldError]:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        return [not_supported(path / "kind", kind, _SUBJECTS)]
    own = _SUBJECTS[kind]
    body = subject.get(own)
    if body is None:
        found = [required(path / own, f"{own} is required when subject kind is '{kind}'")]
    elif not body.get("name"):
        found = [required(path / own / "name", "")]
    else:
        found = []
    if body is not None and kind == "ServiceAccount":
        found += _validate_account(body, path / own)
    return found + [
        forbidden(path / other, f"{other} is forbidden when subject kind is not '{other_kind}'")
        for other_kind, other in sorted(_SUBJECTS.items(), key=_as_told)
        if other != own and subject.get(other) is not None
    ]


def _as_told(pair: tuple[str, str]) -> int:
    """Upstream looks at accounts first, then at users."""
    return ("serviceAccount", "user", "group").index(pair[1])


def _validate_account(account: Object, path: FieldPath) -> list[FieldError]:
    found, name, namespace = [], account.get("name"), account.get("namespace")
    if name and name != ALL:
        found += [invalid(path / "name", name, text) for text in names.dns_subdomain_errors(name)]
    if not namespace:
        return [*found, required(path / "namespace", "must specify namespace for service account")]
    return found + [
        invalid(path / "namespace", namespace, text) for text in names.dns_label_errors(namespace)
    ]


def _validate_resources(rule: Object, path: FieldPath) -> list[FieldError]:
    found = _validate_verbs(rule, path)
    for field, one, many in (
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ):
        values = rule.get(field) or ()
        if not values:
            found.append(required(path / field, f"resource rules must supply at least one {one}"))
        found += _validate_alone(values, path / field, many)
    namespaces = rule.get("namespaces") or ()
    if not namespaces and not rule.get("clusterScope"):
        text = "resource rules that are not cluster scoped must supply at least one namespace"
        found.append(required(path / "namespaces", text))
    found += _validate_alone(namespaces, path / "namespaces", "namespaces")
    for index, namespace in enumerate(namespaces if ALL not in namespaces else ()):
        texts = names.dns_label_errors(namespace)
        found += [invalid(path / "namespaces" % index, namespace, _IN_LIST + text) for text in texts]
    return found


def _validate_paths(rule: Object, path: FieldPath) -> list[FieldError]:
    found, urls = _validate_verbs(rule, path), rule.get("nonResourceURLs") or ()
    path = path / "nonResourceURLs"
    if not urls:
        found.append(required(path, "nonResourceURLs must contain at least one value"))
    found += _validate_alone(urls, path, "non-resource URLs")
    for index, url in enumerate(urls if ALL not in urls else ()):
        if text := _problem_of(url):
            found.append(invalid(path % index, url, text))
    return found


def _problem_of(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    stars = url.count(ALL)
    return "wildcard can only do suffix matching" if stars > 1 or (stars and not url.endswith("/*")) else ""


def _validate_verbs(rule: Object, path: FieldPath) -> list[FieldError]:
    verbs, path = rule.get("verbs") or (), path / "verbs"
    if not verbs:
        return [required(path, "verbs must contain at least one value")]
    if ALL in verbs:
        return _validate_alone(verbs, path, "verbs")
    return [] if set(verbs) <= set(_VERBS) else [not_supported(path, verbs, _VERBS)]


def _validate_alone(values: Sequence[str], path: FieldPath, what: str) -> list[FieldError]:
    if ALL not in values or len(values) == 1:
        return []
    return [invalid(path, values, f"if '*' is present, must not specify other {what}")]


# ------------------------------------------------------------------------------------------------ priority levels


def validate_priority_level(level: Object) -> list[FieldError]:
    """All that is wrong with a PriorityLevelConfiguration."""
    spec, name, found = spec_of(level), name_of(level), []
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    if (name == EXEMPT) != (kind == "Exempt"):
        found.append(invalid(SPEC / "type", kind, "type must be 'Exempt' if and only if name is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            found.append(forbidden(SPEC / "limited", "must be nil if the type is not Limited"))
        found += _validate_shares(exempt or {}, SPEC / "exempt") + _validate_lending(
            exempt or {}, SPEC / "exempt"
        )
    elif kind == "Limited":
        if exempt is not None:
            found.append(forbidden(SPEC / "exempt", "must be nil if the type is Limited"))
        if limited is None:
            found.append(required(SPEC / "limited", "must not be empty when type is Limited"))
        else:
            found += _validate_limited(limited, SPEC / "limited")
    else:
        found.append(not_supported(SPEC / "type", kind, ("Exempt", "Limited")))
    if name == EXEMPT and (kind != "Exempt" or limited is not None):
        text = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
        found.append(invalid(SPEC, spec, text))
    if name == CATCH_ALL and spec != _FIXED_CATCH_ALL:
        found.append(invalid(SPEC, spec, "spec of 'catch-all' must equal the fixed value"))
    return found + validate_conditions(level)


def _validate_shares(body: Object, path: FieldPath) -> list[FieldError]:
    shares = body.get("nominalConcurrencyShares") or 0
    if shares >= 0:
        return []
    return [invalid(path / "nominalConcurrencyShares", shares, "must be a non-negative integer")]


def _validate_lending(body: Object, path: FieldPath) -> list[FieldError]:
    percent = body.get("lendablePercent") or 0
    if 0 <= percent <= 100:
        return []
    return [invalid(path / "lendablePercent", percent, "must be between 0 and 100, inclusive")]


def _validate_limited(limited: Object, path: FieldPath) -> list[FieldError]:
    found = _validate_shares(limited, path)
    response, at = limited.get("limitResponse") or {}, path / "limitResponse"
    queuing = response.get("queuing")
    match response.get("type"):
        case "Reject" if queuing is not None:
            text = "must be nil if limited.limitResponse.type is not Limited"
            found.append(forbidden(at / "queuing", text))
        case "Queue" if queuing is None:
            text = "must not be empty if limited.limitResponse.type is Limited"
            found.append(required(at / "queuing", text))
        case "Queue":
            found += _validate_queuing(queuing or {}, at / "queuing")
        case "Reject":
            pass
        case kind:
            found.append(not_supported(at / "type", kind or "", ("Queue", "Reject")))
    found += _validate_lending(limited, path)
    borrowing = limited.get("borrowingLimitPercent") or 0
    if borrowing < 0:
        text = "if specified, must be a non-negative integer"
        found.append(invalid(path / "borrowingLimitPercent", borrowing, text))
    return found


def _validate_queuing(queuing: Object, path: FieldPath) -> list[FieldError]:
    found = []
    length, queues, hand = (queuing.get(name) or 0 for name in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        found.append(invalid(path / "queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        found.append(invalid(path / "queues", queues, "must be positive"))
    elif queues > MOST_QUEUES:
        found.append(invalid(path / "queues", queues, f"must not be greater than {MOST_QUEUES}"))
    if hand <= 0:
        found.append(invalid(path / "handSize", hand, "must be positive"))
    elif hand > queues:
        found.append(invalid(path / "handSize", hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > HASH_BITS:
        dealt = f"deckSize {queues} and handSize {hand}"
        text = f"required entropy bits of {dealt} should not be greater than {HASH_BITS}"
        found.append(invalid(path / "handSize", hand, text))
    return found


def validate_conditions(obj: Object) -> list[FieldError]:
    """All that is wrong with the conditions of either kind."""
    found, seen = [], set[str]()
    for index, condition in enumerate(status_of(obj).get("conditions") or ()):
        path, kind = FieldPath("status") / "conditions" % index / "type", condition.get("type") or ""
        if kind in seen:
            found.append(duplicate(path, kind))
        seen.add(kind)
        if not kind:
            found.append(required(path, "must not be empty"))
    return found
