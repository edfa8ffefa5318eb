from __future__ import annotations

from typing import Any

from apiserver.authorization.rbac import RBAC
from apiserver.request import User, parse_request
from kubarium.api.rbac import roles

GROUP = "rbac.authorization.k8s.io"


def role(kind: str, name: str, *rules: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def binding(
    kind: str, role_kind: str, role_name: str, *subjects: dict[str, Any], namespace: str = ""
) -> dict[str, Any]:
    return {
        "kind": kind, "metadata": {"name": role_name, "namespace": namespace},
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role_name}, "subjects": list(subjects),
    }  # fmt: skip


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return {**found, "resourceNames": names.split()} if names else found


JANE = {"kind": "User", "name": "jane"}


def allowed(rbac: RBAC, method: str, path: str, user: User | None = None) -> bool:
    asked = parse_request(method, path, {})
    return rbac.authorize(user or User("jane", groups=("devs",)), asked).allowed


def test_nothing_is_allowed_at_first() -> None:
    assert not allowed(RBAC(), "GET", "/api/v1/pods")


def test_a_role_holds_in_its_namespace_only() -> None:
    rbac = RBAC()
    rbac.put("Role", role("Role", "r", rule("get list", "pods"), namespace="a"))
    rbac.put("RoleBinding", binding("RoleBinding", "Role", "r", JANE, namespace="a"))
    assert allowed(rbac, "GET", "/api/v1/namespaces/a/pods/x")
    assert not allowed(rbac, "GET", "/api/v1/namespaces/b/pods/x")
    assert not allowed(rbac, "GET", "/api/v1/pods")
    assert not allowed(rbac, "GET", "/api/v1/namespaces/a/pods/x/log")
    assert not allowed(rbac, "DELETE", "/api/v1/namespaces/a/pods/x")


def test_names_restrict_a_rule() -> None:
    rbac = RBAC()
    rbac.put("ClusterRole", role("ClusterRole", "r", rule("get", "secrets", names="a b")))
    rbac.put("ClusterRoleBinding", binding("ClusterRoleBinding", "ClusterRole", "r", JANE))
    assert allowed(rbac, "GET", "/api/v1/namespaces/n/secrets/a")
    assert not allowed(rbac, "GET", "/api/v1/namespaces/n/secrets/c")
    assert not allowed(rbac, "GET", "/api/v1/namespaces/n/secrets")


def test_groups_service_accounts_and_paths() -> None:
    rbac = RBAC()
    rbac.put(
        "ClusterRole",
        role("ClusterRole", "r", {"verbs": ["get"], "nonResourceURLs": ["/logs/*", "/version"]}),
    )
    devs, account = (
        {"kind": "Group", "name": "devs"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
    )
    rbac.put("ClusterRoleBinding", binding("ClusterRoleBinding", "ClusterRole", "r", devs, account))
    assert allowed(rbac, "GET", "/version")
    assert allowed(rbac, "GET", "/logs/a/b")
    assert not allowed(rbac, "GET", "/versions")
    assert allowed(rbac, "GET", "/version", User("system:serviceaccount:n:s"))
    assert not allowed(rbac, "GET", "/version", User("system:serviceaccount:n:t"))


def test_changes_take_effect_at_once() -> None:
    rbac = RBAC()
    one = role("ClusterRole", "r", rule("get", "pods"))
    bound = binding("ClusterRoleBinding", "ClusterRole", "r", JANE)
    rbac.put("ClusterRoleBinding", bound)
    assert not allowed(rbac, "GET", "/api/v1/namespaces/n/pods/x")
    rbac.put("ClusterRole", one)
    assert allowed(rbac, "GET", "/api/v1/namespaces/n/pods/x")
    rbac.put("ClusterRole", role("ClusterRole", "r", rule("list", "pods")))
    assert not allowed(rbac, "GET", "/api/v1/namespaces/n/pods/x")
    rbac.put("ClusterRole", one)
    rbac.remove("ClusterRoleBinding", bound)
    assert not allowed(rbac, "GET", "/api/v1/namespaces/n/pods/x")


def test_what_is_not_covered() -> None:
    held = [
        rule("get list", "pods pods/log"),
        rule("*", "*", "apps"),
        {"verbs": ["get"], "nonResourceURLs": ["/a/*"]},
    ]
    assert roles.uncovered([rule("get", "pods"), rule("delete", "deployments/scale", "apps")], held) == []
    missing = roles.uncovered(
        [rule("get watch", "pods"), {"verbs": ["get"], "nonResourceURLs": ["/b"]}], held
    )
    assert [roles.compact(right) for right in missing] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["watch"]}', '{NonResourceURLs:["/b"], Verbs:["get"]}',
    ]  # fmt: skip


def test_bindings_are_validated_with_upstreams_words() -> None:
    wrong = binding("ClusterRoleBinding", "Role", "r", {"kind": "ServiceAccount", "name": "s"})
    assert [str(error) for error in roles.validate_binding(wrong)] == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "subjects[0].namespace: Required value",
    ]
