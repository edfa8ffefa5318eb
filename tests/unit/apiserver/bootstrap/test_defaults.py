from __future__ import annotations

from apiserver.bootstrap import defaults, roles
from kubarium.api.flowcontrol import validation as flow_control
from kubarium.api.rbac import roles as rbac
from kubarium.apimachinery.object import copy


def test_rules_read_like_sentences() -> None:
    assert roles.rule_of({"read,delete of core,apps": "pods[a,b]"}) == {
        "apiGroups": ["", "apps"], "resources": ["pods"], "resourceNames": ["a", "b"],
        "verbs": ["delete", "get", "list", "watch"],
    }  # fmt: skip
    assert roles.rule_of({"get": "/healthz /livez"}) == {
        "nonResourceURLs": ["/healthz", "/livez"],
        "verbs": ["get"],
    }


def test_every_default_object_is_valid() -> None:
    data = roles.load()
    for role in [*roles.cluster_roles(data), *roles.namespaced_roles(data)]:
        assert rbac.validate_role(role) == []
    names = {role["metadata"]["name"] for role in roles.cluster_roles(data)}
    for binding in roles.cluster_role_bindings(data):
        assert rbac.validate_binding(binding) == []
        assert binding["roleRef"]["name"] in names
    flow = defaults.load()
    assert [e for obj in defaults.flow_schemas(flow) for e in flow_control.validate_flow_schema(obj)] == []
    assert [
        e for obj in defaults.priority_levels(flow) for e in flow_control.validate_priority_level(obj)
    ] == []


def test_what_an_administrator_added_stays() -> None:
    default = next(r for r in roles.cluster_roles(roles.load()) if r["metadata"]["name"] == "system:kube-dns")
    assert roles.completed(default, default) is None
    found = copy(default)
    found["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    new = roles.completed(found, default)
    assert new is not None and new["rules"][0] == found["rules"][0] and len(new["rules"]) > 1
    found["metadata"]["annotations"][roles.AUTO_UPDATE] = "false"
    assert roles.completed(found, default) is None
