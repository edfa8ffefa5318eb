"""Every optional plugin at once, with a configuration file: one server of this test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Etcd

PLUGINS = (
    "AlwaysPullImages,DenyServiceExternalIPs,EventRateLimit,ExtendedResourceToleration,ImagePolicyWebhook,"
    "LimitPodHardAntiAffinityTopology,NamespaceAutoProvision,NamespaceExists,PodNodeSelector,PodTolerationRestriction"
)


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "hook.kubeconfig"
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(config))
    return path


def configuration(folder: Path, hook: Path) -> Path:
    (folder / "selectors.yaml").write_text(
        "podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: 'zone=a'}"
    )
    security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline"}, "exemptions": {"namespaces": ["free"]},
    }  # fmt: skip
    limits = {
        "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration",
        "limits": [{"type": "Namespace", "qps": 1, "burst": 2}],
    }  # fmt: skip
    quota = {
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
        "limitedResources": [{"resource": "pods", "matchScopes": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}]}],
    }  # fmt: skip
    plugins = [
        {"name": "PodSecurity", "configuration": security},
        {"name": "EventRateLimit", "configuration": limits},
        {"name": "ResourceQuota", "configuration": quota},
        {"name": "PodNodeSelector", "path": "selectors.yaml"},
        {"name": "ImagePolicyWebhook", "configuration": {"imagePolicy": {"kubeConfigFile": str(hook)}}},
    ]
    path = folder / "admission.yaml"
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}
    path.write_text(yaml.safe_dump({**head, "plugins": plugins}))
    return path


async def images(request: web.Request) -> web.Response:
    review = orjson.loads(await request.read())
    bad = [one["image"] for one in review["spec"]["containers"] if "bad" in one["image"]]
    return web.json_response({**review, "status": {"allowed": not bad, "reason": ",".join(bad)}})


@pytest.fixture
async def admin(etcd: Etcd, tmp_path: Path) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_post("/images", images)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook = kubeconfig(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}/images")
    flags = [
        f"--admission-control-config-file={configuration(tmp_path, hook)}",
        f"--enable-admission-plugins={PLUGINS}",
        "--disable-admission-plugins=ServiceAccount",
    ]
    server = ApiServer(tmp_path / "server", etcd.url, None, *flags)
    await asyncio.to_thread(server.start)
    try:
        async with server.client() as client:
            yield client
    finally:
        assert await asyncio.to_thread(server.stop) == 0
        await runner.cleanup()


def pod(name: str, **spec: Any) -> Object:
    container = {"name": "c", "image": "good"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec},
    }  # fmt: skip


async def test_optional_plugins(admin: Client) -> None:
    pods, namespaces = admin.resource("v1", "pods"), admin.resource("v1", "namespaces")
    made = await pods.create(pod("first"), "made-along")
    assert (await namespaces.get("made-along"))["status"]["phase"] == "Active"
    assert made["spec"]["nodeSelector"] == {"zone": "a"}
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"

    async def refused(obj: Object, why: str, namespace: str = "made-along") -> None:
        with pytest.raises(errors.Forbidden) as error:
            await pods.create(obj, namespace)
        assert why in error.value.message

    await refused(pod("p", nodeSelector={"zone": "b"}), "conflicts with its namespace node label selector")
    await refused(pod("p", containers=[{"name": "c", "image": "bad"}]), "denied one or more images: bad")
    await refused(pod("p", hostNetwork=True), 'violates PodSecurity "baseline:latest"')
    critical = {"priorityClassName": "system-cluster-critical"}
    await refused(pod("p", **critical), "insufficient quota to match these scopes: [{PriorityClass In [")
    term = {"topologyKey": "zone", "labelSelector": {}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await refused(pod("p", affinity=affinity), "but only key kubernetes.io/hostname is allowed")

    await pods.create(pod("free", hostNetwork=True), "free")
    special = {"limits": {"example.com/gpu": "1"}}
    asking = await pods.create(
        pod("gpu", containers=[{"name": "c", "image": "good", "resources": special}]), "free"
    )
    assert {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in asking["spec"][
        "tolerations"
    ]

    tolerations = orjson.dumps([{"key": "a", "operator": "Exists"}]).decode()
    annotations = {
        "scheduler.alpha.kubernetes.io/defaultTolerations": tolerations,
        "scheduler.alpha.kubernetes.io/tolerationsWhitelist": orjson.dumps([{"key": "a", "operator": "Exists"}, {
            "operator": "Exists", "effect": "NoExecute"}]).decode(),
    }  # fmt: skip
    tolerant = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "tolerant", "annotations": annotations},
    }
    await namespaces.create(tolerant)
    assert {"key": "a", "operator": "Exists"} in (await pods.create(pod("t"), "tolerant"))["spec"][
        "tolerations"
    ]
    other = [{"key": "b", "operator": "Exists", "effect": "NoSchedule"}]
    await refused(pod("u", tolerations=other), "conflict with its namespace whitelist", "tolerant")

    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 1}], "externalIPs": ["192.0.2.1"]},
    }  # fmt: skip
    with pytest.raises(errors.Forbidden, match="Use of external IPs is denied by admission control"):
        await admin.resource("v1", "services").create(service, "free")

    events = admin.resource("v1", "events")
    about = {"kind": "Pod", "namespace": "free", "name": "p"}

    async def note(number: int) -> Object:
        kind = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"e{number}"}}
        return await events.create({**kind, "involvedObject": about}, "free")

    outcomes = await asyncio.gather(*map(note, range(20)), return_exceptions=True)
    refusals = [str(one) for one in outcomes if isinstance(one, errors.TooManyRequests)]
    assert refusals and "limit reached on type Namespace for key free" in refusals[0]
    for name in ("made-along", "free", "tolerant"):
        for one in (await pods.list(name))["items"]:
            await pods.delete(one["metadata"]["name"], name, grace_period_seconds=0)
