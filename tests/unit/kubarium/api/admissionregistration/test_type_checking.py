"""Warnings about expressions that do not fit the kinds that a policy matches."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.admissionregistration import type_checking, validation
from kubarium.apimachinery.cel import openapi_types
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource

KIND = GroupVersionKind("apps", "v1", "Deployment")
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Deployment": {
                "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
                "type": "object",
                "properties": {
                    "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}]},
                    "spec": {
                        "type": "object",
                        "properties": {
                            "replicas": {"type": "integer"},
                            "port": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
            "Meta": {
                "type": "object",
                "properties": {"creationTimestamp": {"type": "string", "format": "date-time"}},
            },
        }
    }
}


def policy(*validations: dict[str, str], **spec: Any) -> dict[str, Any]:
    rule = {
        "operations": ["*"],
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["deployments", "*/scale"],
    }
    constraints = {"matchConstraints": {"resourceRules": [rule]}}
    return {
        "metadata": {"name": "p.example.com"},
        "spec": {**constraints, "validations": [*validations], **spec},
    }


def check(found: dict[str, Any]) -> list[dict[str, str]]:
    kind = openapi_types.type_of_kind(DOCUMENT, KIND)
    assert kind is not None
    return type_checking.warnings(found, {KIND: kind}, None)


def test_only_resources_that_are_named_are_checked() -> None:
    assert type_checking.resources_of(policy()) == [GroupVersionResource("apps", "v1", "deployments")]


def test_a_rule_for_any_group_is_not_checked_and_others_for_ten_resources() -> None:
    anywhere = policy()
    anywhere["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"] = ["*", "apps"]
    assert type_checking.resources_of(anywhere) == []
    many = policy()
    many["spec"]["matchConstraints"]["resourceRules"] *= 2
    many["spec"]["matchConstraints"]["resourceRules"][1] = {
        "apiGroups": [""], "apiVersions": ["v1"], "resources": [f"r{number:02}" for number in range(12)],
    }  # fmt: skip
    assert [place.resource for place in type_checking.resources_of(many)] == [
        *(f"r{number:02}" for number in range(10)), "deployments",
    ]  # fmt: skip


def test_kinds_are_told_in_order_and_the_core_group_without_a_name() -> None:
    kind = openapi_types.type_of_kind(DOCUMENT, KIND)
    assert kind is not None
    pods = GroupVersionKind("", "v1", "Pod")
    (found,) = type_checking.warnings(policy({"expression": "object.x"}), {KIND: kind, pods: kind}, None)
    first, second = found["warning"].split("\n\n")
    assert first.startswith("/v1, Kind=Pod: compilation failed: ERROR: ")
    assert second.startswith("apps/v1, Kind=Deployment: compilation failed: ERROR: ")
    assert second.endswith("^\n")


def test_what_fits_warns_of_nothing() -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}]
    texts = [
        "variables.n > 1 && object.spec.port == 80",
        "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
        "object.spec.labels['a'] == 'b' && request.userInfo.username != ''",
    ]
    assert check(policy(*({"expression": text} for text in texts), variables=variables)) == []


def test_confused_types_are_named_as_upstream_does() -> None:
    confused = {
        "expression": "object.spec.replicas > '1'",
        "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas",
    }
    first, second = check(policy(confused))
    assert first["fieldRef"] == "spec.validations[0].expression"
    assert first["warning"] == (
        "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:22: found no matching overload for '_>_' "
        "applied to '(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n"
    )
    assert second["fieldRef"] == "spec.validations[0].messageExpression"
    assert "found no matching overload for '_+_' applied to '(string, int)'" in second["warning"]
    (unknown,) = check(policy({"expression": "object.spec.nothing == 1"}))
    assert "undefined field 'nothing'" in unknown["warning"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"validations": [{"expression": "params.x == 1"}]},
            "undeclared reference to 'params' (in container '')",
        ),
        ({"validations": [{"expression": "variables.x == 1"}]}, "undefined field 'x'"),
        ({"validations": [{"expression": "request.nobody == 1"}]}, "undefined field 'nobody'"),
        ({"validations": [{"expression": "1"}]}, 'Invalid value: "1": must evaluate to bool but got int'),
        (
            {"auditAnnotations": [{"key": "a/b", "valueExpression": "'x'"}]},
            'spec.auditAnnotations[0].key: Invalid value: "a/b"',
        ),
        (
            {"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]},
            "field 'b'",
        ),
    ],
)
def test_what_a_policy_may_not_say(spec: dict[str, Any], message: str) -> None:
    found = validation.validate_validating_policy(policy({"expression": "true"}, **spec))
    assert any(message in str(error) for error in found), found


def test_params_may_be_spoken_of_where_there_are_some() -> None:
    kind = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    assert validation.validate_validating_policy(policy({"expression": "params.data.x == '1'"}, **kind)) == []


@pytest.mark.parametrize(
    ("sort", "expression", "problem"),
    [
        ("ApplyConfiguration", "Object{spec: Object.spec{replicas: 3}}", ""),
        ("ApplyConfiguration", "variables.x", ""),
        ("ApplyConfiguration", "'a teapot'", "must evaluate to Object but got string"),
        ("ApplyConfiguration", "{'a': 1}", "must evaluate to Object but got map(string, int)"),
        ("ApplyConfiguration", "Object.spec{}", "must evaluate to Object but got Object.spec"),
        ("JSONPatch", "[JSONPatch{op: 'add', path: '/a', value: object.b}]", ""),
        ("JSONPatch", "object.a.map(x, JSONPatch{op: 'test', path: '/' + x})", ""),
        ("JSONPatch", "[]", "must evaluate to list(JSONPatch) but got list(dyn)"),
        ("JSONPatch", "JSONPatch{op: 'add'}", "must evaluate to list(JSONPatch) but got JSONPatch"),
        (
            "JSONPatch",
            "[JSONPatch{op: 1}]",
            "expected type of field 'op' is 'string' but provided type is 'int'",
        ),
        ("JSONPatch", "[JSONPatch{operation: 'add'}]", "undefined field 'operation'"),
    ],
)
def test_mutations_make_what_they_must(sort: str, expression: str, problem: str) -> None:
    field = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}[sort]
    spec = {
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                                "resources": ["pods"]}]},
        "variables": [{"name": "x", "expression": "object"}],
        "mutations": [{"patchType": sort, field: {"expression": expression}}],
        "reinvocationPolicy": "Never",
    }  # fmt: skip
    found = [str(error) for error in validation.validate_mutating_policy({"spec": spec})]
    assert len(found) == bool(problem)
    assert problem in "".join(found)
