"""Admission policies: CEL that judges and CEL that changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kubarium.apimachinery import errors, names
from kubarium.client.rest import Client

API = "admissionregistration.k8s.io/v1"


class Policies:
    """Makes policies with bindings for one namespace and takes them away again."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._made: list[tuple[str, str]] = []

    async def add(self, sort: str, spec: dict[str, Any], **binding: Any) -> str:
        name = names.generate_name("policy-")
        kind = f"{sort}AdmissionPolicy"
        await self._make(kind, name, {"matchConstraints": rules("CREATE"), **spec})
        selector = {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}}
        await self._make(
            f"{kind}Binding",
            name,
            {"policyName": name, "matchResources": {"namespaceSelector": selector}, **binding},
        )
        return name

    async def _make(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        plural = kind.lower().removesuffix("y") + "ies" if kind.endswith("Policy") else kind.lower() + "s"
        body = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        await self._client.resource(API, plural).create(body)
        self._made.append((plural, name))

    async def close(self) -> None:
        for plural, name in self._made:
            await self._client.resource(API, plural).delete(name)


def rules(*operations: str) -> dict[str, Any]:
    """Such writes of config maps are meant."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["configmaps"]}
    return {"resourceRules": [rule]}


@pytest.fixture
async def policies(client: Client, namespace: str) -> AsyncIterator[Policies]:
    found = Policies(client, namespace)
    yield found
    await found.close()


async def create(client: Client, namespace: str, **data: str) -> dict[str, Any]:
    metadata = {"name": names.generate_name("m-"), "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return await client.resource("v1", "configmaps").create(body)


async def refusal(client: Client, namespace: str, **data: str) -> errors.StatusError:
    """What is said once the policy has come into effect."""
    async with asyncio.timeout(60):
        while True:
            try:
                await create(client, namespace, **data)
            except errors.StatusError as error:
                return error
            await asyncio.sleep(0.01)


async def test_a_validating_policy_refuses(client: Client, namespace: str, policies: Policies) -> None:
    older = await create(client, namespace, a="12345")
    spec = {
        "matchConstraints": rules("*"),
        "variables": [{"name": "size", "expression": "object.?data.?a.orValue('').size()"}],
        "validations": [{"expression": "request.operation == 'DELETE' || variables.size < 4",
                         "messageExpression": "'a has ' + string(variables.size) + ' letters'"}],
    }  # fmt: skip
    name = await policies.add("Validating", spec, validationActions=["Deny"])
    refused = await refusal(client, namespace, a="12345")
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message.endswith(
        f"is forbidden: ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: a has 5 letters"
    )
    assert (await create(client, namespace, a="123"))["data"] == {"a": "123"}
    config_maps = client.resource("v1", "configmaps")
    with pytest.raises(
        errors.Invalid, match="a has 5 letters"
    ):  # an update that changes nothing is judged, too
        await config_maps.update(older)
    with pytest.raises(errors.Invalid, match="a has 5 letters"):
        await config_maps.patch(older["metadata"]["name"], {"data": older["data"]}, namespace, type="merge")


async def test_parameters_and_the_authorizer(client: Client, namespace: str, policies: Policies) -> None:
    await client.resource("v1", "configmaps").create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": namespace},
         "data": {"most": "2"}}
    )  # fmt: skip
    allowed = (
        "authorizer.group('').resource('secrets').namespace(object.metadata.namespace).check('get').allowed()"
    )
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [
            {"expression": f"object.data.size() <= int(params.data.most) && {allowed}", "message": "too much"}
        ],
    }  # fmt: skip
    reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
    await policies.add("Validating", spec, validationActions=["Deny"], paramRef=reference)
    assert (await refusal(client, namespace, a="1", b="2", c="3")).message.endswith(
        "denied request: too much"
    )
    await create(client, namespace, a="1", b="2")


async def test_a_mutating_policy_changes(client: Client, namespace: str, policies: Policies) -> None:
    spec = {
        "matchConstraints": rules("CREATE", "UPDATE"),
        "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "has-a", "expression": "has(object.data.a)"}],
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {
                "expression": "Object{metadata: Object.metadata{labels: {'seen': 'yes'}}}"}},
            {"patchType": "JSONPatch", "jsonPatch": {
                "expression": "[JSONPatch{op: 'add', path: '/data/b', value: object.metadata.labels.seen}]"}},
        ],
    }  # fmt: skip
    older = await create(client, namespace, a="1")
    await policies.add("Mutating", spec)
    async with asyncio.timeout(60):
        while (made := await create(client, namespace, a="1"))["data"] == {"a": "1"}:
            pass
    patch = {"data": {"a": "1"}}  # changes nothing by itself
    config_maps = client.resource("v1", "configmaps")
    changed = await config_maps.patch(older["metadata"]["name"], patch, namespace, type="merge")
    assert changed["data"] == {"a": "1", "b": "yes"}
    assert made["data"] == {"a": "1", "b": "yes"} and made["metadata"]["labels"] == {"seen": "yes"}
    assert (await create(client, namespace, c="1"))["data"] == {"c": "1"}


async def test_expressions_must_compile(client: Client, policies: Policies) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await policies.add(
            "Validating", {"validations": [{"expression": "object.x +"}]}, validationActions=["Deny"]
        )
    assert "spec.validations[0].expression: Invalid value" in refused.value.message
    assert "compilation failed: ERROR: <input>:1:11: Syntax error" in refused.value.message
    webhook = {
        "name": "a.example.com", "clientConfig": {"url": "https://x/"}, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "matchConditions": [{"name": "x", "expression": "nothing"}],
    }  # fmt: skip
    body = {
        "apiVersion": API,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "bad"},
        "webhooks": [webhook],
    }
    with pytest.raises(
        errors.Invalid, match=r"webhooks\[0\].matchConditions\[0\].expression.*compilation failed"
    ):
        await client.resource(API, "validatingwebhookconfigurations").create(body)


async def test_all_policies_are_asked_before_the_first_denial(
    client: Client, namespace: str, policies: Policies
) -> None:
    denied = {
        "validations": [{"expression": "object.data.a != 'x'", "message": "no x"}],
        "failurePolicy": "Fail",
    }
    first = await policies.add("Validating", denied, validationActions=["Deny"])
    noted = {
        "validations": [
            {"expression": "object.data.a != 'x'", "messageExpression": "'saw ' + object.data.a"}
        ],
        "auditAnnotations": [{"key": "seen", "valueExpression": "'a is ' + object.data.a"}],
    }
    second = await policies.add("Validating", noted, validationActions=["Warn", "Audit"])
    async with asyncio.timeout(60):
        while True:
            try:
                await create(client, namespace, a="x")
            except errors.Invalid as error:
                refused = error
                break
            await asyncio.sleep(0.05)
    who = f"ValidatingAdmissionPolicy '{first}' with binding '{first}' denied request: no x"
    assert refused.message.endswith(f"is forbidden: {who}")
    assert refused.causes()[-1]["message"] == who
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}, "data": {"a": "x"}}
    path, content = f"/api/v1/namespaces/{namespace}/configmaps", orjson.dumps(body)
    async with asyncio.timeout(60):
        while True:
            headers = client.headers({"Content-Type": "application/json"})
            answer = await client.transport.send("POST", path, headers, content, 30.0)
            assert answer.status == 422
            await answer.read()
            if "warning" in answer.headers:
                break
    told = answer.headers["warning"]
    assert (
        f"Validation failed for ValidatingAdmissionPolicy '{second}' with binding '{second}': saw x" in told
    )
    counted = await client.request("GET", "/metrics")
    for name, action in ((first, "deny"), (second, "warn")):
        labels = (
            f'enforcement_action="{action}",error_type="no_error",policy="{name}",policy_binding="{name}"'
        )
        assert f"apiserver_validating_admission_policy_check_total{{{labels}}}" in counted


async def test_missing_parameters_deny_whatever_the_actions_are(
    client: Client, namespace: str, policies: Policies
) -> None:
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "object.data.a == params.data.a"}],
    }
    reference = {"name": "nowhere", "namespace": namespace, "parameterNotFoundAction": "Deny"}
    await policies.add("Validating", spec, validationActions=["Warn"], paramRef=reference)
    async with asyncio.timeout(60):
        while True:
            try:
                await create(client, namespace, a="x")
            except errors.Invalid as error:
                assert "failed to configure binding: no params found for policy binding" in error.message
                return
            await asyncio.sleep(0.05)


async def test_an_apply_configuration_may_not_replace_atomic_lists(
    client: Client, namespace: str, policies: Policies
) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["endpoints"]}]
    policy = await policies.add(
        "Mutating",
        {
            "matchConstraints": {"resourceRules": rules},
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "JSONPatch",  # not for this object, and no error
                    "jsonPatch": {"expression": "[JSONPatch{op: 'test', path: '/kind', value: 'Pod'}]"},
                },
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression": "Object{subsets: [Object.subsets{}]}"},
                },
            ],
        },
    )
    async with asyncio.timeout(60):
        while True:
            name = names.generate_name("e-")
            body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}}
            try:
                await client.resource("v1", "endpoints").create(body, namespace)
            except errors.StatusError as error:
                wrong = "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .subsets"
                who = f"policy '{policy}' with binding '{policy}'"
                assert error.message == f"{who} denied request: {wrong}"
                assert (error.code, error.reason) == (403, "Invalid")
                return
            await asyncio.sleep(0.05)


async def test_policies_see_what_a_connection_asks_for(
    client: Client, namespace: str, policies: Policies
) -> None:
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}
    ]
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [
            {"expression": "object.container != 'main' || !object.stdin || object.command != ['rm', 'x']"}
        ],
    }
    await policies.add("Validating", spec, validationActions=["Deny"])
    place = f"/api/v1/namespaces/{namespace}/pods/none/exec?container=main&stdin=true"
    async with asyncio.timeout(60):
        while True:
            with pytest.raises(errors.StatusError) as error:
                await client.request("POST", f"{place}&command=rm&command=x")
            if not isinstance(error.value, errors.NotFound):  # the policy has come into effect
                break
            await asyncio.sleep(0.01)
    assert "denied request" in error.value.message
    with pytest.raises(errors.NotFound):
        await client.request("POST", f"{place}&command=ls")
