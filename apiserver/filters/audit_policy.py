"""Which requests are logged, and how much of them: an audit `Policy`.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Policy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apiserver import configuration
from apiserver.configuration import ConfigurationError
from apiserver.request import RequestInfo, User
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging

log = logging.get(__name__)

NONE, METADATA, REQUEST, REQUEST_RESPONSE = LEVELS = ("None", "Metadata", "Request", "RequestResponse")
RECEIVED, STARTED, COMPLETE, PANIC = STAGES = (
    "RequestReceived",
    "ResponseStarted",
    "ResponseComplete",
    "Panic",
)
KIND, VERSIONS = "Policy", ("audit.k8s.io/v1",)
SHAPE = {
    "metadata": None,
    "omitStages": None,
    "omitManagedFields": None,
    "rules": [
        {
            "level": None, "users": None, "userGroups": None, "verbs": None, "namespaces": None,
            "nonResourceURLs": None, "omitStages": None, "omitManagedFields": None,
            "resources": [{"group": None, "resources": None, "resourceNames": None}],
        }
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """What to log of which requests: one rule of an audit `Policy`."""

    level: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Mapping[str, Any], ...] = ()
    paths: tuple[str, ...] = ()
    omitted_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    def matches(self, user: User | None, info: RequestInfo) -> bool:
        """Is the request one of these? Nobody knows the user of a request that was not authenticated."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return info.is_resource and self._names_object(info)
        return not self.paths or (not info.is_resource and self._names_path(info.path))

    def _names_path(self, path: str) -> bool:
        return any(
            one in ("*", path) or (one.endswith("*") and path.startswith(one[:-1])) for one in self.paths
        )

    def _names_object(self, info: RequestInfo) -> bool:
        if self.namespaces and info.namespace not in self.namespaces:
            return False
        return not self.resources or any(_names_resource(one, info) for one in self.resources)


def _names_resource(entry: Mapping[str, Any], info: RequestInfo) -> bool:
    if (entry.get("group") or "") != info.group:
        return False
    wanted = entry.get("resources") or ()
    if not wanted:
        return True
    full = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    candidates = {full, "*", f"{info.resource}/*", f"*/{info.subresource}" if info.subresource else full}
    if candidates.isdisjoint(wanted):
        return False
    only = entry.get("resourceNames")
    return not only or info.name in only


@dataclass(frozen=True, slots=True)
class Policy:
    """The first rule that matches decides."""

    rules: tuple[Rule, ...]

    def rule_for(self, user: User | None, info: RequestInfo) -> Rule | None:
        """The rule for a request; None if nothing is logged."""
        found = next((rule for rule in self.rules if rule.matches(user, info)), None)
        return None if found is None or found.level == NONE else found


def load_policy(path: str) -> Policy:
    """Read an audit policy file. Raises ConfigurationError."""
    before = "loading audit policy file: "
    try:
        text = Path(path).read_text()
    except OSError as error:
        why = f'failed to read file path "{path}": open {path}: {configuration.reason_of(error)}'
        raise ConfigurationError(before + why) from None
    try:
        return policy_of(_decoded(text))
    except ConfigurationError as error:
        raise ConfigurationError(f"{before}{error}: from file {path}") from None


def _decoded(text: str) -> Object:
    """Unknown fields are told and passed over, as upstream does here, and only here."""
    try:
        return configuration.decode(text, KIND, VERSIONS, SHAPE)
    except ConfigurationError as error:
        found = configuration.decode(text, KIND, VERSIONS, None)
        log.warning("audit policy contains errors, falling back to lenient decoding: %s", error)
        return found


def policy_of(body: Object) -> Policy:
    """An audit `Policy` object, understood. Raises ConfigurationError."""
    rules = body.get("rules") or ()
    omitted = body.get("omitStages") or ()
    configuration.refuse([*_stage_problems(omitted, FieldPath("omitStages")), *_problems(rules)])
    if not rules:
        raise ConfigurationError("loaded illegal policy with 0 rules")
    stages = frozenset(omitted)
    bare = bool(body.get("omitManagedFields"))
    return Policy(tuple(_rule_of(rule, stages, bare) for rule in rules))


def _rule_of(rule: Object, stages: frozenset[str], bare: bool) -> Rule:
    own = rule.get("omitManagedFields")
    return Rule(
        rule["level"],
        frozenset(rule.get("users") or ()),
        frozenset(rule.get("userGroups") or ()),
        frozenset(rule.get("verbs") or ()),
        frozenset(rule.get("namespaces") or ()),
        tuple(rule.get("resources") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
        stages | frozenset(rule.get("omitStages") or ()),
        bare if own is None else bool(own),
    )


def _problems(rules: Sequence[Object]) -> Iterator[FieldError]:
    for index, rule in enumerate(rules):
        path = FieldPath("rules") % index
        level = rule.get("level") or ""
        if not level:
            yield required(path / "level")
        elif level not in LEVELS:
            yield not_supported(path / "level", level, LEVELS)
        paths = rule.get("nonResourceURLs") or []
        yield from _path_problems(paths, path / "nonResourceURLs")
        yield from _resource_problems(rule.get("resources") or (), path / "resources")
        yield from _stage_problems(rule.get("omitStages") or (), path / "omitStages")
        if paths and (rule.get("resources") or rule.get("namespaces")):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid(path / "nonResourceURLs", paths, text)


def _stage_problems(stages: Sequence[str], path: FieldPath) -> Iterator[FieldError]:
    for at, stage in enumerate(stages):
        if stage not in STAGES:
            yield invalid(path % at, stage, f"allowed stages are {','.join(STAGES)}")


def _path_problems(paths: Sequence[str], path: FieldPath) -> Iterator[FieldError]:
    for at, one in enumerate(paths):
        if one == "*":
            continue
        if not one.startswith("/"):
            yield invalid(path % at, one, "non-resource URL rules must begin with a '/' character")
        if "*" in one[:-1]:
            text = "non-resource URL wildcards '*' must be the final character of the rule"
            yield invalid(path % at, one, text)


def _resource_problems(resources: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    for one in resources:
        group = one.get("group") or ""
        if group and (wrong := names.dns_subdomain_errors(group)):
            yield invalid(path / "group", group, ",".join(wrong))
        if one.get("resourceNames") and not one.get("resources"):
            text = "using resourceNames requires at least one resource"
            yield invalid(path / "resourceNames", one["resourceNames"], text)
