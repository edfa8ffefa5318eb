"""`--authorization-mode=ABAC`: a file of policies, one JSON object a line, read once.

Source: https://kubernetes.io/docs/reference/access-authn-authz/abac/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from apiserver.authorization.authorizer import ALLOWED, Decision, Verdict
from apiserver.configuration import ConfigurationError, reason_of
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging

log = logging.get(__name__)

VERSION, KIND = "abac.authorization.kubernetes.io/v1beta1", "Policy"
READING = ("get", "list", "watch")
_NO_MATCH = Verdict(Decision.NO_OPINION, "No policy matched.")
_TEXTS = ("user", "group", "namespace", "resource", "apiGroup", "nonResourcePath")


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what; `*` stands for everything, nothing for nothing."""

    user: str = ""
    group: str = ""
    readonly: bool = False
    api_group: str = ""
    resource: str = ""
    namespace: str = ""
    path: str = ""

    def is_for(self, user: User) -> bool:
        """Does it speak of this user? A policy that names nobody does not."""
        if self.user and self.user != user.name:
            return False
        if self.group and self.group not in user.groups:
            return False
        return bool(self.user or self.group)

    def allows(self, info: RequestInfo) -> bool:
        """Does it allow what is asked to those of whom it speaks?"""
        if self.readonly and info.verb not in READING:
            return False
        if info.is_resource:
            return (
                self.namespace in ("*", info.namespace)
                and self.resource in ("*", info.resource)
                and self.api_group in ("*", info.group)
            )
        if self.path == info.path:
            return True
        return self.path.endswith("*") and info.path.startswith(self.path.rstrip("*"))

    @property
    def verbs(self) -> list[str]:
        """What may be done, as rules say it."""
        return list(READING) if self.readonly else ["*"]


class ABAC:
    """Allows what some policy of its file allows."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        if any(policy.is_for(user) and policy.allows(info) for policy in self._policies):
            return ALLOWED
        return _NO_MATCH

    def rules_for(self, user: User, namespace: str) -> list[Object]:
        """The same as rules of RBAC."""
        return list(self._rules(user, namespace))

    def _rules(self, user: User, namespace: str) -> Iterator[Object]:
        for policy in self._policies:
            if not policy.is_for(user) or policy.namespace not in ("*", namespace):
                continue
            if policy.resource:
                yield {"verbs": policy.verbs, "apiGroups": [policy.api_group], "resources": [policy.resource]}
            if policy.path:
                yield {"verbs": policy.verbs, "nonResourceURLs": [policy.path]}


def load(path: str) -> ABAC:
    """Read a file of policies. Raises ConfigurationError."""
    try:
        lines = Path(path).read_text().split("\n")
    except OSError as error:
        raise ConfigurationError(f"open {path}: {reason_of(error)}") from None
    found, old = [], False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            policy, versioned = _policy(line)
        except ConfigurationError as error:
            shown = line.rstrip("\r")
            raise ConfigurationError(
                f"error reading policy file {path}, line {number}: {shown}: {error}"
            ) from None
        found.append(policy)
        old = old or not versioned
    if old:
        log.warning(
            "Policy file %s contained unversioned rules. See docs/admin/authorization.md#abac-mode for ABAC "
            "file format details.",
            path,
        )
    return ABAC(found)


def _policy(line: str) -> tuple[Policy, bool]:
    """The policy of a line, and whether it says its version."""
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(given, dict):
        raise ConfigurationError("couldn't get version/kind; json parse error: an object is expected")
    version, kind = given.get("apiVersion") or "", given.get("kind") or ""
    if not version and not kind:
        return _old(given), False
    if not kind:
        raise ConfigurationError(f"Object 'Kind' is missing in '{line}'")
    if (version, kind) != (VERSION, KIND):
        raise ConfigurationError(f'no kind "{kind}" is registered for version "{version}"')
    spec = given.get("spec") or {}
    if not isinstance(spec, dict):
        raise _wrong(spec, "Policy.spec", "v1beta1.PolicySpec")
    texts = {key: _typed(spec, key, str, f"PolicySpec.spec.{key}") for key in _TEXTS}
    user, group = texts["user"], texts["group"]
    if "*" in (user, group):
        user, group = "", users.AUTHENTICATED
    return Policy(
        user,
        group,
        _typed(spec, "readonly", bool, "PolicySpec.spec.readonly"),
        texts["apiGroup"],
        texts["resource"],
        texts["namespace"],
        texts["nonResourcePath"],
    ), True


def _old(given: Object) -> Policy:
    """A policy as it was before it had a version: what it leaves out is everything."""
    texts = {
        key: _typed(given, key, str, f"Policy.{key}") for key in ("user", "group", "namespace", "resource")
    }
    user, group = texts["user"], texts["group"]
    if "*" in (user, group) or not (user or group):
        user, group = "", users.AUTHENTICATED
    namespace, resource = texts["namespace"], texts["resource"]
    return Policy(
        user,
        group,
        _typed(given, "readonly", bool, "Policy.readonly"),
        "*",
        resource or "*",
        namespace or "*",
        "" if namespace or resource else "*",
    )


def _typed(given: Object, key: str, kind: type, where: str) -> Any:
    value = given.get(key)
    if value is None:
        return kind()
    if type(value) is not kind:
        raise _wrong(value, where, "string" if kind is str else "bool")
    return value


def _wrong(value: Any, where: str, wanted: str) -> ConfigurationError:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    given = names[type(value)]
    return ConfigurationError(f"json: cannot unmarshal {given} into Go struct field {where} of type {wanted}")
