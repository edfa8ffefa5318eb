"""Subjects -> bindings -> roles -> rules, as an index that is asked in a microsecond.

    role bindings, cluster role bindings          roles, cluster roles
              │ by subject                               │ by name
              ▼                                          ▼
      rights of one user (compiled on first use, forgotten when anything changes)
              │
              ▼  verb, group, resource, namespace  ─▶  any name, these names, or nothing

Everything is kept by plain functions (`put`, `remove`) that informer handlers call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from apiserver.authorization.authorizer import ALLOWED, NO_OPINION, Verdict
from apiserver.request import RequestInfo, User
from kubarium.api.rbac import roles
from kubarium.apimachinery.object import Object, ObjectKey, key_of
from kubarium.client.informer import Informers

API_VERSION = "rbac.authorization.k8s.io/v1"
_KINDS = {
    "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
    "roles": "Role",
    "rolebindings": "RoleBinding",
}
_MAX_USERS = 5_000  # compiled users kept; more are forgotten all at once

Names = frozenset[str] | None
"""Which object names a user may touch: None stands for any, the empty set for none."""


@dataclass(slots=True)
class _Rights:
    """What one user may do: rules that hold everywhere, rules by namespace, answers already found."""

    everywhere: list[Object]
    by_namespace: dict[str, list[Object]]
    answers: dict[tuple[str, str, str, str, str], Names]
    paths: dict[tuple[str, str], bool]


class RBAC:
    """Allows what a role allows; has no opinion on the rest."""

    def __init__(self) -> None:
        self._roles: dict[ObjectKey, Object] = {}  # cluster roles under an empty namespace
        self._bindings: dict[str, dict[tuple[str, ObjectKey], Object]] = {}  # by subject
        self._bound: dict[tuple[str, ObjectKey], Object] = {}
        self._rights: dict[tuple[str, tuple[str, ...]], _Rights] = {}

    def follow(self, informers: Informers) -> None:
        """Keep the index as the cluster's roles and bindings change."""
        for plural, kind in _KINDS.items():
            informers.informer(API_VERSION, plural).follow(
                partial(self.put, kind), partial(self.remove, kind)
            )

    def put(self, kind: str, obj: Object) -> None:
        """Learn of a new or changed role or binding."""
        if kind.endswith("Role"):
            self._roles[key_of(obj)] = obj
        else:
            self._unbind(kind, key_of(obj))
            place = (kind, key_of(obj))
            self._bound[place] = obj
            for subject in roles.subjects_of(obj):
                key = roles.subject_key(subject, place[1].namespace)
                self._bindings.setdefault(key, {})[place] = obj
        self._rights.clear()

    def remove(self, kind: str, obj: Object) -> None:
        """Learn that a role or binding is gone."""
        if kind.endswith("Role"):
            self._roles.pop(key_of(obj), None)
        else:
            self._unbind(kind, key_of(obj))
        self._rights.clear()

    def _unbind(self, kind: str, key: ObjectKey) -> None:
        old = self._bound.pop((kind, key), None)
        for subject in roles.subjects_of(old) if old else ():
            self._bindings.get(roles.subject_key(subject, key.namespace), {}).pop((kind, key), None)

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        """Allow what any of the user's rules allows."""
        rights = self._rights_of(user)
        if not info.is_resource:
            asked = (info.verb, info.path)
            allowed = rights.paths.get(asked)
            if allowed is None:
                allowed = any(roles.path_rule_allows(rule, *asked) for rule in rights.everywhere)
                if len(rights.paths) < 1_000:  # whoever scans paths shall not fill the memory
                    rights.paths[asked] = allowed
            return ALLOWED if allowed else NO_OPINION
        question = (info.verb, info.group, info.resource, info.subresource, info.namespace)
        try:
            names = rights.answers[question]
        except KeyError:
            names = self._names(rights, question)
            if len(rights.answers) < 10_000:
                rights.answers[question] = names
        return ALLOWED if names is None or info.name in names else NO_OPINION

    def explain(self, user: User, info: RequestInfo) -> str:
        """Which binding allows it, in upstream's words."""
        keys = set(roles.subject_keys(user.name, user.groups))
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            for (own_kind, key), binding in sorted(self._bound.items(), key=lambda pair: pair[0]):
                if own_kind != kind or (key.namespace and key.namespace != info.namespace):
                    continue
                subject = _subject_in(binding, key.namespace, keys)
                reference = binding.get("roleRef") or {}
                rules = self.rules_of_reference(reference, key.namespace) or ()
                if subject is not None and any(_allows(rule, info) for rule in rules):
                    return _allowed_by(kind, key, reference, subject)
        return ""

    def rules_for(self, user: User, namespace: str = "") -> list[Object]:
        """All rules that a user holds in a namespace (or only those that hold everywhere)."""
        rights = self._rights_of(user)
        return rights.everywhere + (rights.by_namespace.get(namespace, []) if namespace else [])

    def rules_of_reference(self, reference: Object, namespace: str) -> list[Object] | None:
        """The rules of the role that a `roleRef` names; None if there is no such role."""
        where = namespace if reference.get("kind") == "Role" else ""
        role = self._roles.get(ObjectKey(where, reference.get("name") or ""))
        return None if role is None else roles.rules_of(role)

    def _names(self, rights: _Rights, question: tuple[str, str, str, str, str]) -> Names:
        verb, group, resource, subresource, namespace = question
        rules = rights.everywhere
        if namespace and namespace in rights.by_namespace:
            rules = rules + rights.by_namespace[namespace]
        found: set[str] = set()
        for rule in rules:
            only = rule.get("resourceNames") or ()
            probe = only[0] if only else ""
            if roles.resource_rule_allows(rule, verb, group, resource, subresource, probe):
                if not only:
                    return None
                found.update(only)
        return frozenset(found)

    def _rights_of(self, user: User) -> _Rights:
        key = (user.name, user.groups)
        found = self._rights.get(key)
        if found is None:
            if len(self._rights) >= _MAX_USERS:
                self._rights.clear()
            found = self._rights[key] = self._compile(user)
        return found

    def _compile(self, user: User) -> _Rights:
        everywhere: list[Object] = []
        by_namespace: dict[str, list[Object]] = {}
        for kind, namespace, rules in self._held(user):
            if kind == "ClusterRoleBinding":
                everywhere += rules
            else:
                by_namespace.setdefault(namespace, []).extend(rules)
        return _Rights(everywhere, by_namespace, {}, {})

    def _held(self, user: User) -> Iterator[tuple[str, str, list[Object]]]:
        """Each binding that mentions the user, once, with the rules of its role."""
        seen: set[tuple[str, ObjectKey]] = set()
        for subject in roles.subject_keys(user.name, user.groups):
            for place, binding in self._bindings.get(subject, {}).items():
                if place not in seen:
                    seen.add(place)
                    namespace = place[1].namespace
                    rules = self.rules_of_reference(binding.get("roleRef") or {}, namespace)
                    yield place[0], namespace, rules or []


def _subject_in(binding: Object, namespace: str, keys: set[str]) -> Object | None:
    return next(
        (one for one in roles.subjects_of(binding) if roles.subject_key(one, namespace) in keys), None
    )


def _allows(rule: Object, info: RequestInfo) -> bool:
    if not info.is_resource:
        return roles.path_rule_allows(rule, info.verb, info.path)
    return roles.resource_rule_allows(rule, info.verb, info.group, info.resource, info.subresource, info.name)


def _allowed_by(kind: str, key: ObjectKey, reference: Object, subject: Object) -> str:
    binding = f"{key.name}/{key.namespace}" if key.namespace else key.name
    name = subject.get("name")
    if subject.get("kind") == "ServiceAccount":
        name = f"{name}/{subject.get('namespace') or key.namespace}"
    role = f'{reference.get("kind")} "{reference.get("name")}"'
    return f'RBAC: allowed by {kind} "{binding}" of {role} to {subject.get("kind")} "{name}"'
