"""What the built-in plugins make of writes, and what they refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.rest import Client


def make_pod(namespace: str, name: str = "p", **spec: Any) -> dict[str, Any]:
    wanted = {"containers": [{"name": "c", "image": "busybox"}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": wanted,
    }


async def test_a_pod_gets_what_it_left_out(client: Client, default_account: str) -> None:
    pod = await client.resource("v1", "pods").create(
        make_pod(default_account, priorityClassName="system-cluster-critical")
    )
    spec = pod["spec"]
    assert spec["serviceAccountName"] == "default"
    volume = spec["volumes"][0]
    assert volume["name"].startswith("kube-api-access-") and len(volume["projected"]["sources"]) == 3
    assert (
        spec["containers"][0]["volumeMounts"][0]["mountPath"]
        == "/var/run/secrets/kubernetes.io/serviceaccount"
    )
    assert spec["priority"] == 2_000_000_000
    assert {one["key"] for one in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        ({"runtimeClassName": "nope"}, 'pod rejected: RuntimeClass "nope" not found'),
        (
            {"serviceAccountName": "nope"},
            'error looking up service account {namespace}/nope: serviceaccount "nope" not found',
        ),
    ],
)
async def test_refusals(client: Client, default_account: str, spec: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await client.resource("v1", "pods").create(make_pod(default_account, **spec))
    assert refused.value.message == f'pods "p" is forbidden: {why.format(namespace=default_account)}'


async def test_namespaces_must_exist_and_live(client: Client) -> None:
    with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
        await client.resource("v1", "configmaps").create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "nowhere"}}
        )
    with pytest.raises(errors.Forbidden, match="this namespace may not be deleted"):
        await client.resource("v1", "namespaces").delete("kube-system")


async def test_pod_security(client: Client, default_account: str) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await client.resource("v1", "namespaces").patch(default_account, label)
    async with asyncio.timeout(60):
        while True:
            try:
                pod = await client.resource("v1", "pods").create(make_pod(default_account))
                await client.resource("v1", "pods").delete("p", default_account, grace_period_seconds=0)
                assert pod
            except errors.Forbidden as error:
                assert (
                    'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
                    in error.message
                )
                break
    harmless = {
        "runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    await client.resource("v1", "pods").create(
        make_pod(default_account, containers=[{"name": "c", "image": "i", "securityContext": harmless}])
    )


async def test_a_quota_is_never_overdrawn(client: Client, namespace: str) -> None:
    quotas = client.resource("v1", "resourcequotas")
    quota = await quotas.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": namespace},
         "spec": {"hard": {"configmaps": "3"}}}
    )  # fmt: skip
    quota["status"] = {"hard": {"configmaps": "3"}, "used": {"configmaps": "0"}}
    await quotas.update_status(quota)
    maps = client.resource("v1", "configmaps")

    async def one(number: int) -> bool:
        try:
            await maps.create(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": f"m{number}", "namespace": namespace},
                }
            )
        except errors.Forbidden as error:
            assert (
                "exceeded quota: q, requested: configmaps=1, used: configmaps=3, limited: configmaps=3"
                in str(error)
            )
            return False
        return True

    async with asyncio.timeout(60):
        while True:  # until the plugin's cache has seen the status: without one a quota forbids nothing
            assert await one(0)
            if (await quotas.get("q", namespace))["status"]["used"] == {"configmaps": "1"}:
                break
            await maps.delete("m0", namespace)
            await asyncio.sleep(0.01)
    assert sum(await asyncio.gather(*(one(number) for number in range(1, 10)))) == 2
    assert (await quotas.get("q", namespace))["status"]["used"] == {"configmaps": "3"}


async def test_a_limit_range_fills_in_and_refuses(client: Client, default_account: str) -> None:
    limits, pods = client.resource("v1", "limitranges"), client.resource("v1", "pods")
    bounds = {
        "type": "Container",
        "min": {"cpu": "50m", "memory": "100Mi", "ephemeral-storage": "100Gi"},
        "max": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
        "default": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
        "defaultRequest": {"cpu": "100m", "memory": "200Mi", "ephemeral-storage": "200Gi"},
    }
    spec = {"limits": [bounds]}
    kind = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds"}}
    stored = await limits.create({**kind, "spec": spec}, default_account)
    assert stored["spec"] == spec

    async def sized(**resources: dict[str, str]) -> dict[str, Any]:
        made = make_pod(default_account, containers=[{"name": "c", "image": "i", "resources": resources}])
        found = await pods.create(made, dry_run=True)
        sizes: dict[str, Any] = found["spec"]["containers"][0]["resources"]
        return sizes

    async def until_filled(wanted: bool) -> None:
        """Until the plugin knows of it, or knows that it has gone."""
        async with asyncio.timeout(60):
            while True:
                if bool(await sized()) is wanted:
                    return
                await asyncio.sleep(0.01)

    await until_filled(True)
    assert await sized() == {"requests": bounds["defaultRequest"], "limits": bounds["default"]}
    mixed = await sized(requests={"cpu": "300m"}, limits={"memory": "300Mi"})
    assert mixed["requests"] == {"cpu": "300m", "memory": "300Mi", "ephemeral-storage": "200Gi"}
    assert mixed["limits"] == {"cpu": "500m", "memory": "300Mi", "ephemeral-storage": "500Gi"}
    with pytest.raises(errors.Forbidden, match="minimum cpu usage per Container is 50m, but request is 10m"):
        await sized(requests={"cpu": "10m"})
    with pytest.raises(
        errors.Forbidden, match="maximum memory usage per Container is 500Mi, but limit is 600Mi"
    ):
        await sized(limits={"memory": "600Mi"})

    stored["spec"]["limits"][0]["min"] = {"cpu": "9m"}
    assert (await limits.update(stored))["spec"]["limits"][0]["min"] == {"cpu": "9m"}
    async with asyncio.timeout(60):
        while True:
            try:
                assert (await sized(requests={"cpu": "10m"}))["requests"]["cpu"] == "10m"
                break
            except errors.Forbidden:
                await asyncio.sleep(0.01)
    await limits.delete_collection(default_account)
    await until_filled(False)
