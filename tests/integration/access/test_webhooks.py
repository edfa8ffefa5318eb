"""Admission webhooks, real ones: HTTPS servers that this test runs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from kubarium.apimachinery import conditions, errors, names
from kubarium.client.rest import Client
from kubarium.component_base.certificates import Authority

API = "admissionregistration.k8s.io/v1"
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Hook:
    """A webhook server; `answer` makes the response, `seen` has the reviews."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create("webhooks")
        pair = self.authority.server("hook", ["127.0.0.1", "hook.hooks.svc"])
        pair.write(folder / "tls.crt", folder / "tls.key")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self.answer: Answer = lambda request: {"allowed": True}
        self.delay = 0.0
        self.seen: list[dict[str, Any]] = []
        self.port = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _handle(self, request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        self.seen.append(review)
        if self.delay:
            await asyncio.sleep(self.delay)
        response = {"uid": review["request"]["uid"], **self.answer(review["request"])}
        body = {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response}
        return web.json_response(body)

    def client_config(self) -> dict[str, Any]:
        bundle = base64.b64encode(self.authority.cert_pem).decode()
        return {"url": f"https://127.0.0.1:{self.port}/x", "caBundle": bundle}


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    found = Hook(tmp_path)
    runner = await found.start()
    yield found
    await runner.cleanup()


class Registered:
    """Registers configurations for the test's namespace and takes them away again."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._made: list[tuple[str, str]] = []

    async def add(self, kind: str, config: dict[str, Any], **more: Any) -> None:
        name = names.generate_name("hook-")
        webhook = {
            "name": f"{name}.example.com", "clientConfig": config, "sideEffects": "None", "timeoutSeconds": 30,
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
            "rules": [
                {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
            ],
            **more,
        }  # fmt: skip
        plural = f"{kind.lower()}webhookconfigurations"
        body = {"apiVersion": API, "kind": f"{kind}WebhookConfiguration", "metadata": {"name": name},
                "webhooks": [webhook]}  # fmt: skip
        await self._client.resource(API, plural).create(body)
        self._made.append((plural, name))

    async def close(self) -> None:
        for plural, name in self._made:
            await self._client.resource(API, plural).delete(name)


@pytest.fixture
async def registered(client: Client, namespace: str) -> AsyncIterator[Registered]:
    found = Registered(client, namespace)
    yield found
    await found.close()


async def create(client: Client, namespace: str, *, dry_run: bool = False) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
            "metadata": {"name": names.generate_name("m-"), "namespace": namespace}}  # fmt: skip
    return await client.resource("v1", "configmaps").create(body, dry_run=dry_run)


async def until_asked(client: Client, namespace: str, hook: Hook) -> None:
    """Configurations take effect through a cache."""
    async with asyncio.timeout(60):
        while not hook.seen:
            await create(client, namespace)
            await asyncio.sleep(0.01)


def patching(patch: bytes) -> dict[str, str]:
    return {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}


async def test_a_mutating_webhook_changes_the_object(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    patch = orjson.dumps([{"op": "add", "path": "/data/b", "value": "2"}])
    hook.answer = lambda request: {"allowed": True, "warnings": ["mind the b"], **patching(patch)}
    await registered.add("Mutating", hook.client_config())
    await until_asked(client, namespace, hook)
    assert (await create(client, namespace))["data"] == {"a": "1", "b": "2"}
    request = hook.seen[-1]["request"]
    assert request["operation"] == "CREATE" and request["namespace"] == namespace
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert request["userInfo"]["username"] == "kubernetes-admin"
    assert request["object"]["data"] == {"a": "1"} and request["oldObject"] is None
    assert request["options"]["kind"] == "CreateOptions"
    lost = orjson.dumps([{"op": "remove", "path": "/nothing/here"}])
    for answer, problem in (
        ({"uid": "other"}, r'failed calling webhook "hook-.*": received invalid webhook response: expected'),
        ({"patchType": "JSONPatch"}, "webhook returned response.patchType but not response.patch"),
        (patching(b"[x"), 'com": received undecodable patch in webhook response: '),
        (
            patching(lost),
            '^Internal error occurred: remove operation does not apply: doc is missing path: "/nothing',
        ),
    ):
        hook.answer = lambda request, answer=answer: {"allowed": True, **answer}  # type: ignore[misc]
        with pytest.raises(errors.InternalError, match=problem):
            await create(client, namespace)
    labels = 'operation="CREATE",rejection_code="0",type="admit"'
    assert re.search(
        rf'webhook_rejection_count{{error_type="apiserver_internal_error",name="hook-.*",{labels}}}',
        await client.request("GET", "/metrics"),
    )


async def test_what_one_webhook_removes_is_filled_in_for_the_next(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    removal = orjson.dumps([{"op": "remove", "path": "/spec/sessionAffinity"}])
    hook.answer = lambda request: {"allowed": True, **patching(removal)}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"]}
    for _ in range(2):
        await registered.add("Mutating", hook.client_config(), rules=[rule])
    body = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]},
            "metadata": {"name": "s", "namespace": namespace}}  # fmt: skip
    async with asyncio.timeout(60):
        while len(hook.seen) < 2:
            hook.seen.clear()
            await client.resource("v1", "services").create(body, dry_run=True)
            await asyncio.sleep(0.01)
    assert [each["request"]["object"]["spec"]["sessionAffinity"] for each in hook.seen] == ["None", "None"]


async def test_a_refused_write_is_asked_about_once(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    await registered.add("Validating", hook.client_config(), rules=[rule])
    await until_asked(client, namespace, hook)
    made = (await create(client, namespace))["metadata"]["name"]
    hook.answer = lambda request: {"allowed": False, "status": {"reason": "Conflict", "code": 409}}
    hook.seen.clear()
    maps = client.resource("v1", "configmaps")
    with pytest.raises(errors.Conflict, match="denied the request: Conflict"):
        await maps.patch(made, {"data": {"a": "2"}}, namespace)
    with pytest.raises(errors.Conflict, match="denied the request: Conflict"):
        await maps.delete(made, namespace)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with pytest.raises(errors.Conflict, match="the UID in the precondition"):
        await client.request("DELETE", f"{path}/{made}", query={"uid": "other"})  # nobody is asked
    with pytest.raises(errors.Conflict, match="denied the request: Conflict"):
        await client.request("DELETE", path, query={"fieldSelector": f"metadata.name={made}"})
    asked = [(each["request"]["operation"], each["request"].get("name")) for each in hook.seen]
    assert asked == [("UPDATE", made), ("DELETE", made), ("DELETE", None)]


async def test_a_validating_webhook_refuses_in_its_own_words(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    await registered.add("Validating", hook.client_config())
    await until_asked(client, namespace, hook)
    hook.answer = lambda request: {"allowed": False, "status": {"message": "not on my watch", "code": 403}}
    with pytest.raises(errors.StatusError) as refused:
        await create(client, namespace)
    assert refused.value.code == 403
    assert refused.value.message.startswith('admission webhook "hook-')
    assert refused.value.message.endswith('.example.com" denied the request: not on my watch')
    hook.answer = lambda request: {"allowed": False}
    with pytest.raises(errors.StatusError, match="denied the request without explanation") as refused:
        await create(client, namespace)
    assert refused.value.code == 400
    for code in ("400", "403"):
        labels = f'operation="CREATE",rejection_code="{code}",type="validating"'
        assert re.search(
            rf'apiserver_admission_webhook_rejection_count{{error_type="no_error",name="hook-.*",{labels}}}',
            await client.request("GET", "/metrics"),
        )


async def test_a_webhook_that_does_not_answer(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    hook.delay = 5.0
    await registered.add("Validating", hook.client_config(), timeoutSeconds=1)
    with pytest.raises(
        errors.InternalError, match=r"failed calling webhook .*\?timeout=1s.*context deadline exceeded"
    ):
        await until_asked(client, namespace, hook)


async def test_failing_open_and_failing_closed(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    nobody = {"url": "https://127.0.0.1:1/x"}
    await registered.add("Validating", nobody, failurePolicy="Ignore")
    await registered.add("Mutating", hook.client_config())
    await until_asked(client, namespace, hook)
    await create(client, namespace)
    untrusted = {"url": hook.client_config()["url"]}
    await registered.add("Validating", untrusted)
    async with asyncio.timeout(60):
        while True:
            try:
                await create(client, namespace)
            except errors.InternalError as error:
                assert "failed to verify certificate" in error.message
                break


async def test_a_service_reference_finds_a_ready_endpoint(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    namespaces = client.resource("v1", "namespaces")
    with contextlib.suppress(errors.AlreadyExists):
        await namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hooks"}})
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook", "namespace": "hooks"},
               "spec": {"ports": [{"port": 443, "targetPort": hook.port}]}}  # fmt: skip
    await client.resource("v1", "services").create(service)
    piece = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "hook-1", "namespace": "hooks", "labels": {"kubernetes.io/service-name": "hook"}},
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": hook.port, "protocol": "TCP"}],
    }  # fmt: skip
    try:
        await client.resource("discovery.k8s.io/v1", "endpointslices").create(piece)
        reference = {"namespace": "hooks", "name": "hook", "path": "/there"}
        await registered.add(
            "Validating",
            {"service": reference, "caBundle": hook.client_config()["caBundle"]},
            failurePolicy="Fail",
        )
        await until_asked(client, namespace, hook)
    finally:
        await client.resource("v1", "services").delete("hook", "hooks")
        await client.resource("discovery.k8s.io/v1", "endpointslices").delete("hook-1", "hooks")


async def test_an_old_version_is_shown_as_the_webhook_knows_it(
    client: Client, namespace: str, hook: Hook, registered: Registered
) -> None:
    rule = {"operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"],
            "resources": ["horizontalpodautoscalers"]}  # fmt: skip
    await registered.add("Validating", hook.client_config(), rules=[rule])
    scalers = client.resource("autoscaling/v2", "horizontalpodautoscalers")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    half = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": half}}
    async with asyncio.timeout(60):
        while not hook.seen:
            await scalers.create(
                {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                 "metadata": {"name": names.generate_name("h-"), "namespace": namespace},
                 "spec": {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [metric]}}
            )  # fmt: skip
    request = hook.seen[-1]["request"]
    assert request["object"]["apiVersion"] == "autoscaling/v1"
    assert request["object"]["spec"]["targetCPUUtilizationPercentage"] == 50
    assert request["kind"]["version"] == request["resource"]["version"] == "v1"
    assert request["requestKind"]["version"] == request["requestResource"]["version"] == "v2"


@pytest.fixture
async def converter(hook: Hook) -> Hook:
    """The same server as a conversion webhook: `hostPort` of v1 is `host` and `port` of v2."""

    def convert(request: dict[str, Any]) -> dict[str, Any]:
        converted = [_converted(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
        return {"convertedObjects": converted, "result": {"status": "Success"}}

    hook.answer = convert
    return hook


def _converted(obj: dict[str, Any], wanted: str) -> dict[str, Any]:
    obj = {**obj, "apiVersion": wanted}
    if wanted.endswith("/v2"):
        obj["host"], obj["port"] = obj.pop("hostPort").split(":")
    else:
        obj["hostPort"] = f"{obj.pop('host')}:{obj.pop('port')}"
    return obj


async def test_objects_of_mixed_versions_are_shown_in_one(
    client: Client, namespace: str, converter: Hook
) -> None:
    group = f"{names.random_suffix()}.example.com"
    definitions = client.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
    made = await definitions.create(_two_shapes(group, converter.client_config()))
    name = made["metadata"]["name"]
    async for event in definitions.watch(field_selector=f"metadata.name={name}"):
        if conditions.is_true(event.obj, "Established"):
            break
    first, second = (client.resource(f"{group}/v{n}", "doors") for n in (1, 2))
    front = {"apiVersion": f"{group}/v1", "kind": "Door", "metadata": {"name": "front"}, "hostPort": "a:80"}
    await first.create(front, namespace)
    versions = made["spec"]["versions"]
    versions = [{**versions[0], "storage": False}, {**versions[1], "storage": True}]
    await definitions.patch(name, {"spec": {"versions": versions}})
    back = {
        "apiVersion": f"{group}/v2",
        "kind": "Door",
        "metadata": {"name": "back"},
        "host": "b",
        "port": "1",
    }
    await second.create(back, namespace)

    old = {door["metadata"]["name"]: door for door in (await first.list(namespace))["items"]}
    assert {name: door["hostPort"] for name, door in old.items()} == {"front": "a:80", "back": "b:1"}
    assert {door["apiVersion"] for door in old.values()} == {f"{group}/v1"}
    await second.patch("front", {"port": "81"}, namespace)
    assert (await first.get("front", namespace))["hostPort"] == "a:81"
    chosen = await second.list(namespace, field_selector="host=a,port=81")
    assert [door["metadata"]["name"] for door in chosen["items"]] == ["front"]
    async for event in first.watch(namespace=namespace, field_selector="hostPort=b:1"):
        assert event.obj["metadata"]["name"] == "back" and event.obj["hostPort"] == "b:1"
        break
    # Its objects go through the webhook once more: were it gone before, whoever lists all kinds would wait for them.
    await definitions.delete(name)
    with contextlib.suppress(errors.NotFound):
        async with asyncio.timeout(60):
            while True:
                await definitions.get(name)
                await asyncio.sleep(0.05)


def _two_shapes(group: str, config: dict[str, Any]) -> dict[str, Any]:
    def version(name: str, storage: bool, *fields: str) -> dict[str, Any]:
        properties = {field: {"type": "string"} for field in fields}
        schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
        selectable = [{"jsonPath": f".{field}"} for field in fields]
        return {
            "name": name,
            "served": True,
            "storage": storage,
            "schema": schema,
            "selectableFields": selectable,
        }

    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"doors.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "doors", "singular": "door", "kind": "Door", "listKind": "DoorList"},
            "versions": [version("v1", True, "hostPort"), version("v2", False, "host", "port")],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]},
            },
        },
    }
