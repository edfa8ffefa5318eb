"""A kubelet sees what its pods need and writes what is its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Etcd


@pytest.fixture(scope="module")
def strict_server(etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with NodeRestriction, as kubeadm starts it, on the same etcd as everybody's."""
    server = ApiServer(
        tmp_path_factory.mktemp("strict"), etcd.url, None, "--enable-admission-plugins=NodeRestriction"
    )
    server.start()
    yield server
    assert server.stop() == 0, Path(server.folder / "apiserver.log").read_text()[-4000:]


@pytest.fixture
async def admin(strict_server: ApiServer) -> AsyncIterator[Client]:
    async with strict_server.client() as client:
        yield client


@pytest.fixture
async def kubelet(strict_server: ApiServer) -> AsyncIterator[Client]:
    async with strict_server.client("system:node:n1", ("system:nodes",)) as client:
        yield client


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


async def test_a_node_writes_only_itself(admin: Client, kubelet: Client) -> None:
    nodes = kubelet.resource("v1", "nodes")
    made = await nodes.create(node("n1", **{"kubernetes.io/hostname": "n1"}))
    try:
        assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in made["spec"]["taints"]
        with pytest.raises(errors.Forbidden, match='node "n1" is not allowed to modify node "n2"'):
            await nodes.create(node("n2"))
        with pytest.raises(errors.Forbidden, match="only its own Node object"):
            await nodes.get("n2")
        with pytest.raises(errors.Forbidden, match='node "n1" is not allowed to modify taints'):
            await nodes.patch("n1", {"spec": {"taints": []}})
        with pytest.raises(
            errors.Forbidden, match=r"is not allowed to modify labels: node-restriction\.kubernetes\.io/x"
        ):
            await nodes.patch("n1", {"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}})
        await nodes.patch("n1", {"status": {"phase": "Running"}}, subresource="status")
    finally:
        await admin.resource("v1", "nodes").delete("n1")


async def test_a_node_reads_what_its_pods_need(admin: Client, kubelet: Client) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "default"},
    }
    with contextlib.suppress(errors.AlreadyExists):
        await admin.resource("v1", "serviceaccounts").create(account)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "needed", "namespace": "default"}}
    await admin.resource("v1", "secrets").create(secret)
    pods = kubelet.resource("v1", "pods")
    try:
        with pytest.raises(errors.Forbidden, match="no relationship found between node 'n1' and this object"):
            await kubelet.resource("v1", "secrets").get("needed", "default")
        with pytest.raises(
            errors.Forbidden, match=r"can only list/watch pods with spec\.nodeName field selector"
        ):
            await pods.list()
        container = {"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "needed"}}]}
        await admin.resource("v1", "pods").create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "on-n1", "namespace": "default"},
             "spec": {"nodeName": "n1", "containers": [container]}}
        )  # fmt: skip
        assert len((await pods.list(field_selector="spec.nodeName=n1"))["items"]) == 1
        async with asyncio.timeout(60):
            while True:
                try:
                    await kubelet.resource("v1", "secrets").get("needed", "default")
                    break
                except errors.Forbidden:
                    await asyncio.sleep(0.01)
        await pods.patch("on-n1", {"status": {"phase": "Running"}}, "default", subresource="status")
        await tokens_are_for_those_whom_the_pod_names(admin, kubelet)
        await pods.delete("on-n1", "default", grace_period_seconds=0)
        async with asyncio.timeout(60):
            while True:
                try:
                    await kubelet.resource("v1", "secrets").get("needed", "default")
                except errors.Forbidden:
                    break
                await asyncio.sleep(0.01)
    finally:
        await admin.resource("v1", "secrets").delete("needed", "default")


async def tokens_are_for_those_whom_the_pod_names(admin: Client, kubelet: Client) -> None:
    uid = (await admin.resource("v1", "pods").get("on-n1", "default"))["metadata"]["uid"]
    accounts = kubelet.resource("v1", "serviceaccounts")

    async def ask(*audiences: str) -> None:
        reference = {"kind": "Pod", "apiVersion": "v1", "name": "on-n1", "uid": uid}
        spec = {"audiences": list(audiences), "boundObjectRef": reference}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        await accounts.create(body, "default", name="default", subresource="token")

    await ask()  # the API server, whom `kube-api-access` names
    with pytest.raises(errors.Forbidden, match="node may only request 0 or 1 audiences"):
        await ask("vault", "registry")
    words = (
        'audience "registry" not found in pod spec volume, system:node:n1 is not authorized to request tokens'
    )
    with pytest.raises(errors.Forbidden, match=words):
        await ask("registry")
    rule = {"apiGroups": [""], "resources": ["registry"], "verbs": ["request-serviceaccounts-token-audience"]}
    group = "rbac.authorization.k8s.io"
    roles = admin.resource(f"{group}/v1", "clusterroles")
    bindings = admin.resource(f"{group}/v1", "clusterrolebindings")
    metadata = {"name": "tokens-for-registry"}
    await roles.create({"metadata": metadata, "rules": [rule]})
    subject = {"apiGroup": group, "kind": "Group", "name": "system:nodes"}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]}
    await bindings.create({"metadata": metadata, "subjects": [subject], "roleRef": reference})
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    await ask("registry")
                    break
                except errors.Forbidden:
                    await asyncio.sleep(0.01)
    finally:
        await bindings.delete(metadata["name"])
        await roles.delete(metadata["name"])


async def test_two_servers_stand_behind_the_kubernetes_service(admin: Client, api_server: ApiServer) -> None:
    leases = admin.resource("coordination.k8s.io/v1", "leases")
    selector = "apiserver.kubernetes.io/identity=kube-apiserver"
    async with asyncio.timeout(60):
        while len((await leases.list("kube-system", label_selector=selector))["items"]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
