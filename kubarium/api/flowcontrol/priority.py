"""FlowSchemas and PriorityLevelConfigurations: the questions asked of them. Their rules are in `validation.py`.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubarium.api.authentication import users
from kubarium.apimachinery.object import Object, spec_of

ALL = "*"
DEFAULT_PRECEDENCE = 1000
DEFAULT_SHARES = 30
DEFAULT_LENDABLE = 0


@dataclass(frozen=True, slots=True)
class Queuing:
    """How requests of a level wait."""

    queues: int
    hand_size: int
    queue_length_limit: int


def is_exempt(level: Object) -> bool:
    """Do requests of this level never wait?"""
    return spec_of(level).get("type") == "Exempt"


def shares_of(level: Object) -> int:
    """The level's part of all seats."""
    spec = spec_of(level)
    body = spec.get("exempt" if spec.get("type") == "Exempt" else "limited") or {}
    shares: int = body.get("nominalConcurrencyShares", 0 if is_exempt(level) else DEFAULT_SHARES)
    return shares


def percentages_of(level: Object) -> tuple[int, int | None]:
    """How much of its seats a level lends, and how much more it may borrow at most; None is no limit."""
    spec = spec_of(level)
    body = spec.get("exempt" if spec.get("type") == "Exempt" else "limited") or {}
    return body.get("lendablePercent") or DEFAULT_LENDABLE, body.get("borrowingLimitPercent")


def queuing_of(level: Object) -> Queuing | None:
    """The queues of a level; None if it rejects instead."""
    response = (spec_of(level).get("limited") or {}).get("limitResponse") or {}
    if response.get("type") != "Queue":
        return None
    given = response.get("queuing") or {}
    return Queuing(given.get("queues", 64), given.get("handSize", 8), given.get("queueLengthLimit", 50))


def level_of(schema: Object) -> str:
    """The name of the priority level that a schema leads to."""
    return (spec_of(schema).get("priorityLevelConfiguration") or {}).get("name") or ""


def precedence_of(schema: Object) -> int:
    """The schema with the smallest number is asked first."""
    return spec_of(schema).get("matchingPrecedence") or DEFAULT_PRECEDENCE


def distinguisher_of(schema: Object) -> str:
    """`ByUser`, `ByNamespace` or nothing: what makes flows of a schema different."""
    return (spec_of(schema).get("distinguisherMethod") or {}).get("type") or ""


def rules_of(schema: Object) -> list[Object]:
    """Subjects and requests that a schema matches."""
    return spec_of(schema).get("rules") or []


def subject_matches(subject: Object, user_name: str, groups: Sequence[str]) -> bool:
    """Is a user one of these?"""
    match subject.get("kind"):
        case "User":
            name = (subject.get("user") or {}).get("name")
            return name in (ALL, user_name)
        case "Group":
            name = (subject.get("group") or {}).get("name")
            return name == ALL or name in groups
        case "ServiceAccount":
            account = subject.get("serviceAccount") or {}
            found = users.service_account_of(user_name)
            return (
                found is not None
                and found[0] == account.get("namespace")
                and account.get("name") in (ALL, found[1])
            )
    return False


def resource_rule_matches(rule: Object, verb: str, group: str, resource: str, namespace: str) -> bool:
    """Does a rule speak of a request for a resource?"""
    if not (_has(rule.get("verbs"), verb) and _has(rule.get("apiGroups"), group)):
        return False
    if not _has(rule.get("resources"), resource):
        return False
    if not namespace:
        return bool(rule.get("clusterScope"))
    return _has(rule.get("namespaces"), namespace)


def path_rule_matches(rule: Object, verb: str, path: str) -> bool:
    """Does a rule speak of a request for a path?"""
    return _has(rule.get("verbs"), verb) and any(
        url in (ALL, path) or (url.endswith("/*") and path.startswith(url[:-1]))
        for url in rule.get("nonResourceURLs") or ()
    )


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and (wanted in values or ALL in values)


def default_flow_schema(schema: Object) -> None:
    """A schema without precedence stands in the middle."""
    spec = schema.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = DEFAULT_PRECEDENCE


def default_priority_level(level: Object) -> None:
    """Fill in shares and queues."""
    spec = level.setdefault("spec", {})
    if spec.get("type") == "Exempt":
        exempt = spec.setdefault("exempt", {})
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", DEFAULT_LENDABLE)
        return
    limited = spec.get("limited")
    if limited is None:
        return
    limited.setdefault("nominalConcurrencyShares", DEFAULT_SHARES)
    limited.setdefault("lendablePercent", DEFAULT_LENDABLE)
    response = limited.get("limitResponse") or {}
    queuing = response.get("queuing")
    if queuing is not None:
        for name, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
            if not queuing.get(name):
                queuing[name] = value
