"""A cluster learns a new noun, judges its objects, shows it to clients, and forgets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kubarium.apimachinery import conditions, errors, names
from kubarium.client.rest import Client

Object = dict[str, Any]
DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
SPEC_SCHEMA = {
    "type": "object",
    "required": ["schedule"],
    "x-kubernetes-validations": [{"rule": "self.replicas <= 5", "message": "at most five"}],
    "properties": {
        "schedule": {"type": "string", "pattern": r"^\S+( \S+){4}$"},
        "replicas": {"type": "integer", "minimum": 1, "default": 1},
        "steps": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"],
                      "properties": {"name": {"type": "string"}, "run": {"type": "string"}}},
        },
    },
}  # fmt: skip


def definition(group: str) -> Object:
    status = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": SPEC_SCHEMA, "status": status}}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    current = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
        "selectableFields": [{"jsonPath": ".spec.schedule"}],
        "additionalPrinterColumns": [{"name": "When", "type": "string", "jsonPath": ".spec.schedule"}],
    }  # fmt: skip
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    older = {"name": "v1beta1", "served": True, "storage": False, "schema": {"openAPIV3Schema": anything}}
    kinds = {
        "plural": "crontabs",
        "singular": "crontab",
        "kind": "CronTab",
        "shortNames": ["ct"],
        "categories": ["all"],
    }
    spec = {"group": group, "scope": "Namespaced", "names": kinds, "versions": [current, older]}
    kind = {"apiVersion": DEFINITIONS[0], "kind": "CustomResourceDefinition"}
    return {**kind, "metadata": {"name": f"crontabs.{group}"}, "spec": spec}


def cron_tab(group: str, name: str = "my", **spec: Any) -> Object:
    spec = {"schedule": "* * * * *"} | spec
    return {"apiVersion": f"{group}/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def group(client: Client) -> AsyncIterator[str]:
    """The group of an established definition."""
    group = f"{names.random_suffix()}.example.com"
    definitions = client.resource(*DEFINITIONS)
    made = await definitions.create(definition(group))
    name = made["metadata"]["name"]
    async for event in definitions.watch(field_selector=f"metadata.name={name}"):
        if conditions.is_true(event.obj, "Established"):
            break
    yield group
    try:
        await definitions.delete(name)
    except errors.NotFound:
        return


async def test_objects_are_defaulted_pruned_and_judged(client: Client, group: str, namespace: str) -> None:
    cron_tabs = client.resource(f"{group}/v1", "crontabs")
    made = await cron_tabs.create(cron_tab(group, unknown=1), namespace)
    assert made["spec"] == {"schedule": "* * * * *", "replicas": 1} and made["metadata"]["generation"] == 1
    for spec, problem in (
        ({"schedule": "x"}, "spec.schedule in body should match"),
        ({"replicas": 0}, "spec.replicas in body should be greater than or equal to 1"),
        ({"replicas": 7}, "at most five"),
        ({"steps": [{"name": "a"}, {"name": "a"}]}, "Duplicate value"),
    ):
        with pytest.raises(errors.Invalid) as raised:
            await cron_tabs.create(cron_tab(group, "other", **spec), namespace)
        assert problem in raised.value.message
    path = f"/apis/{group}/v1/namespaces/{namespace}/crontabs?fieldValidation=Strict"
    with pytest.raises(errors.BadRequest, match=r'strict decoding error: unknown field "spec.unknown"'):
        await client.request("POST", path, body=cron_tab(group, "other", unknown=1))
    unnamed = {"metadata": {"name": "other"}, "spec": {}}
    text = r"unrecognized \(must be of type CronTab\): Object 'Kind' is missing in '.*' \(\{\"metadata\":.* \.\.\.\)"
    with pytest.raises(errors.BadRequest, match=text):
        await client.request("POST", path, body=unnamed)
    with pytest.raises(
        errors.Invalid, match=r"metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    ):
        await cron_tabs.update({**cron_tab(group), "metadata": {"name": "my", "namespace": namespace}})


async def test_status_scale_and_generation(client: Client, group: str, namespace: str) -> None:
    cron_tabs = client.resource(f"{group}/v1", "crontabs")
    made = await cron_tabs.create(cron_tab(group) | {"status": {"replicas": 9}}, namespace)
    assert "status" not in made
    reported = await cron_tabs.update_status(
        {**made, "spec": {"schedule": "other"}, "status": {"replicas": 1}}
    )
    assert reported["spec"]["schedule"] == "* * * * *" and reported["status"] == {"replicas": 1}
    assert reported["metadata"]["generation"] == 1
    scaled = await cron_tabs.patch("my", {"spec": {"replicas": 3}}, namespace, subresource="scale")
    assert (
        scaled["kind"] == "Scale"
        and scaled["spec"] == {"replicas": 3}
        and scaled["status"] == {"replicas": 1}
    )
    assert (await cron_tabs.get("my", namespace))["metadata"]["generation"] == 2


async def test_versions_fields_and_tables(client: Client, group: str, namespace: str) -> None:
    cron_tabs = client.resource(f"{group}/v1", "crontabs")
    await cron_tabs.create(cron_tab(group), namespace)
    await cron_tabs.create(cron_tab(group, "rare", schedule="0 0 1 1 *"), namespace)
    found = await cron_tabs.list(namespace, field_selector="spec.schedule=0 0 1 1 *")
    with pytest.raises(errors.BadRequest, match=r"^field label not supported: spec\.replicas$"):
        await cron_tabs.list(namespace, field_selector="spec.replicas=1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["rare"]
    older = client.resource(f"{group}/v1beta1", "crontabs")
    assert (await older.get("my", namespace))["apiVersion"] == f"{group}/v1beta1"
    assert {item["apiVersion"] for item in (await older.list(namespace))["items"]} == {f"{group}/v1beta1"}
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = await client.request("GET", f"/apis/{group}/v1/namespaces/{namespace}/crontabs", headers=headers)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "When"]
    assert table["rows"][0]["cells"] == ["my", "* * * * *"]


APPLY = {"Content-Type": "application/apply-patch+yaml"}


async def test_apply_merges_lists_by_key(client: Client, group: str, namespace: str) -> None:
    cron_tabs = client.resource(f"{group}/v1", "crontabs")

    def applied(*steps: Object) -> Object:
        obj = cron_tab(group, steps=list(steps))
        obj["metadata"]["namespace"] = namespace
        return obj

    await cron_tabs.apply(applied({"name": "a", "run": "1"}), field_manager="one")
    both = await cron_tabs.apply(applied({"name": "b", "run": "2"}), field_manager="two")
    assert [step["name"] for step in both["spec"]["steps"]] == ["a", "b"]


async def test_applied_configurations_own_no_defaults(client: Client, group: str, namespace: str) -> None:
    cron_tabs = client.resource(f"{group}/v1", "crontabs")
    wanted = cron_tab(group)
    wanted["metadata"]["namespace"] = namespace
    applied = await cron_tabs.apply(wanted, field_manager="one")
    assert applied["spec"]["replicas"] == 1
    assert applied["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {"f:schedule": {}}}
    with pytest.raises(errors.StatusError, match=r"\.spec\.unknown: field not declared in schema"):
        await cron_tabs.apply(
            {**wanted, "spec": {"schedule": "* * * * *", "unknown": 1}}, field_manager="one"
        )
    older = client.resource(f"{group}/v1beta1", "crontabs")
    again = {**wanted, "apiVersion": f"{group}/v1beta1"}
    assert (await older.apply(again, field_manager="one"))["apiVersion"] == f"{group}/v1beta1"
    kept = await cron_tabs.get("my", namespace)
    assert kept["apiVersion"] == f"{group}/v1", "it is kept in the version in which all are kept"
    await cron_tabs.apply(wanted, field_manager="one")
    metadata = {**wanted["metadata"], "finalizers": ["mine"]}  # only kinds of the core want a domain in it
    assert await cron_tabs.apply({**wanted, "metadata": metadata}, field_manager="one")
    await cron_tabs.apply(wanted, field_manager="one")
    with pytest.raises(errors.StatusError, match=r"\.metadata\.unknown: field not declared in schema"):
        await cron_tabs.apply({**wanted, "metadata": {**metadata, "unknown": 1}}, field_manager="one")
    path = f"/apis/{group}/v1/namespaces/{namespace}/crontabs/my?fieldManager=one&fieldValidation=Strict"
    repeated = orjson.dumps(wanted).replace(b'"kind":', b'"kind":"Other",\n"kind":')
    with pytest.raises(
        errors.BadRequest,
        match=r'^error strict decoding YAML: error converting .*\n  line 2: key "kind" already',
    ):
        await client.request("PATCH", path, body=repeated, headers=APPLY)
    nameless = orjson.dumps({**wanted, "metadata": {}})
    assert (await client.request("PATCH", path, body=nameless, headers=APPLY))["metadata"]["name"] == "my"
    with pytest.raises(errors.BadRequest, match="undeterminable: name must be provided"):
        await client.request("PATCH", path.replace("/my?", "/new?"), body=nameless, headers=APPLY)
    with pytest.raises(
        errors.Invalid, match=r"metadata\.resourceVersion: Invalid value: 0: must be specified"
    ):
        await cron_tabs.patch(
            "my", {"metadata": {"resourceVersion": ""}, "spec": {"suspend": True}}, namespace
        )


async def test_published_and_forgotten(client: Client, group: str, namespace: str) -> None:
    groups = await client.request("GET", "/apis")
    assert group in [entry["name"] for entry in groups["groups"]]
    document = await client.request("GET", f"/openapi/v3/apis/{group}/v1")
    assert ".".join([*reversed(group.split(".")), "v1", "CronTab"]) in document["components"]["schemas"]
    cron_tabs = client.resource(f"{group}/v1", "crontabs")
    made = await cron_tabs.create(cron_tab(group), namespace)
    query = {"watch": "1", "resourceVersion": made["metadata"]["resourceVersion"]}
    async with (
        asyncio.timeout(60),
        client.stream("GET", f"/apis/{group}/v1/crontabs", query=query) as answer,
    ):
        # Another version is kept from now on: nobody may go on with what was true before.
        flipped = [
            {"op": "replace", "path": f"/spec/versions/{at}/storage", "value": at == 1} for at in (0, 1)
        ]
        await client.resource(*DEFINITIONS).patch(f"crontabs.{group}", flipped, type="json")
        assert [chunk async for chunk in answer.chunks()] == []
    told = b""
    async with (
        asyncio.timeout(60),
        client.stream("GET", f"/apis/{group}/v1/crontabs", query={"watch": "1"}) as answer,
    ):
        await client.resource(*DEFINITIONS).delete(f"crontabs.{group}")
        async for chunk in answer.chunks():  # until the server ends it: the resource is not served any more
            told += chunk
    assert [orjson.loads(line)["type"] for line in told.splitlines()] == ["ADDED", "DELETED"]
    with pytest.raises(errors.NotFound):
        await client.request("GET", f"/apis/{group}/v1")


async def test_bad_schemas_are_refused(client: Client) -> None:
    bad = definition("bad.example.com")
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = {"type": "strin"}
    with pytest.raises(errors.Invalid, match=r'type: Unsupported value: "strin"'):
        await client.resource(*DEFINITIONS).create(bad)
