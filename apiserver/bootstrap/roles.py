"""`roles.yaml` as objects, and what of them is missing in a cluster.

What an administrator added to a default role or binding stays; what is missing is put back at every start, unless the
object's annotation says `autoupdate: "false"`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import yaml

from kubarium.api.rbac import roles as rbac
from kubarium.apimachinery.object import Object, annotations_of, copy, labels_of

API_VERSION = "rbac.authorization.k8s.io/v1"
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_CONTROLLER = "system:controller:"
_AGGREGATE = "rbac.authorization.k8s.io/"
_SHORT = {
    "read": ["get", "list", "watch"],
    "write": ["create", "delete", "deletecollection", "patch", "update"],
}
_EVENTS: Object = {
    "apiGroups": ["", "events.k8s.io"],
    "resources": ["events"],
    "verbs": ["create", "patch", "update"],
}
_NAMES = re.compile(r"(?P<resources>[^\[]*)(?:\[(?P<names>.*)\])?")


@functools.cache
def load() -> dict[str, Any]:
    """The file; whoever asks gets the same."""
    text = resources.files("apiserver.bootstrap").joinpath("roles.yaml").read_text()
    loaded: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return loaded


def cluster_roles(data: dict[str, Any]) -> list[Object]:
    """All default ClusterRoles, those of controllers included."""
    lines = dict(data["cluster_roles"])
    lines |= {_CONTROLLER + name: rules for name, rules in data["controller_roles"].items()}
    return [_cluster_role(name, rules, data) for name, rules in lines.items()]


def _cluster_role(name: str, lines: list[Any], data: dict[str, Any]) -> Object:
    role = _object("ClusterRole", name)
    if name in data["aggregated"]:
        role["metadata"]["labels"][_AGGREGATE + data["aggregated"][name]] = "true"
    if name in data["aggregation"]:
        selector = {"matchLabels": {_AGGREGATE + data["aggregation"][name]: "true"}}
        role["aggregationRule"] = {"clusterRoleSelectors": [selector]}
        role["rules"] = None
    else:
        role["rules"] = [rule_of(line) for line in lines]
    return role


def cluster_role_bindings(data: dict[str, Any]) -> list[Object]:
    """All default ClusterRoleBindings; each controller's role is held by the service account of its name."""
    bindings = dict(data["cluster_role_bindings"])
    for name in data["controller_roles"]:
        bindings[_CONTROLLER + name] = [f"ServiceAccount kube-system/{name}"]
    return [_binding("ClusterRoleBinding", "ClusterRole", name, body) for name, body in bindings.items()]


def namespaced_roles(data: dict[str, Any]) -> list[Object]:
    """All default Roles."""
    return [
        {**_object("Role", name, namespace), "rules": [rule_of(line) for line in lines]}
        for namespace, found in data["roles"].items()
        for name, lines in found.items()
    ]


def namespaced_bindings(data: dict[str, Any]) -> list[Object]:
    """All default RoleBindings."""
    return [
        _binding("RoleBinding", "Role", name, body, namespace)
        for namespace, found in data["role_bindings"].items()
        for name, body in found.items()
    ]


def rule_of(line: str | dict[str, str]) -> Object:
    """`{"read of core": "pods"}` -> a policy rule."""
    if isinstance(line, str):
        return copy(_EVENTS)
    ((head, text),) = line.items()
    verb_text, of, group_text = head.partition(" of ")
    verbs = sorted(verb for short in verb_text.split(",") for verb in _SHORT.get(short, [short]))
    if not of:
        return {"nonResourceURLs": text.split(), "verbs": verbs}
    match = _NAMES.fullmatch(text)
    assert match is not None  # the pattern matches every text
    groups = ["" if group == "core" else group for group in group_text.split(",")]
    rule: Object = {"apiGroups": groups, "resources": match["resources"].split(), "verbs": verbs}
    if match["names"]:
        rule["resourceNames"] = match["names"].split(",")
    return rule


def _binding(kind: str, role_kind: str, name: str, body: Any, namespace: str = "") -> Object:
    role, subjects = (body["role"], body["subjects"]) if isinstance(body, dict) else (name, body)
    binding = _object(kind, name, namespace)
    binding["roleRef"] = {"apiGroup": rbac.GROUP, "kind": role_kind, "name": role}
    if subjects:
        binding["subjects"] = [_subject(text) for text in subjects]
    return binding


def _subject(text: str) -> Object:
    kind, _, name = text.partition(" ")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"apiGroup": rbac.GROUP, "kind": kind, "name": name}


def _object(kind: str, name: str, namespace: str = "") -> Object:
    metadata: Object = {"name": name, "labels": dict(_BOOTSTRAPPING), "annotations": {AUTO_UPDATE: "true"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}


def completed(found: Object, default: Object) -> Object | None:
    """A copy of a kept role or binding with what it lacks of the default; None if it lacks nothing."""
    if annotations_of(found).get(AUTO_UPDATE) == "false":
        return None
    new = copy(found)
    new["metadata"]["labels"] = {**labels_of(found), **labels_of(default)}
    new["metadata"]["annotations"] = {**annotations_of(default), **annotations_of(found)}
    if "roleRef" in default:
        _add_missing(new, "subjects", rbac.subjects_of(default))
    elif "aggregationRule" in default:
        new["aggregationRule"] = found.get("aggregationRule") or default["aggregationRule"]
    else:
        missing = rbac.uncovered(rbac.rules_of(default), rbac.rules_of(found))
        if missing:
            new["rules"] = [*rbac.rules_of(found), *missing]
    return None if new == found else new


def _add_missing(obj: Object, key: str, wanted: Sequence[Object]) -> None:
    kept = obj.get(key) or []
    missing = [one for one in wanted if one not in kept]
    if missing:
        obj[key] = [*kept, *missing]


def leads_elsewhere(found: Object, default: Object) -> bool:
    """A binding to another role cannot be changed, only made anew."""
    return "roleRef" in default and found.get("roleRef") != default["roleRef"]


def node_rules() -> list[Object]:
    """The rules of the role `system:node`, by which the node authorizer judges what is no object of a pod."""
    return [rule_of(line) for line in load()["cluster_roles"]["system:node"]]
