"""A scheduler of its own process, and the nodes and pods of one test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Child, free_port

ZONE = "topology.kubernetes.io/zone"


class SchedulerProcess:
    """`python -m scheduler`; without other flags it competes for its lease."""

    def __init__(self, server: ApiServer, folder: Path, *flags: str) -> None:
        self.port = free_port()
        self._folder = folder
        self.kubeconfig = server.kubeconfig("system:kube-scheduler", ())
        self._flags = [
            f"--kubeconfig={self.kubeconfig}",
            f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            *flags,
        ]
        self.child: Child | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "scheduler", *self._flags]
        self.child = Child(command, self._folder / "scheduler.log")

    def stop(self) -> None:
        """End it; it must not have stumbled."""
        assert self.child is not None
        code = self.child.stop()
        log = self.child.log.read_text()
        assert code == 0 and "Traceback" not in log, log[-4000:]

    def pages_as(self, config: ClientConfig) -> ClientConfig:
        """Somebody's credentials, shown to the scheduler, whose certificate is its own work."""
        server = f"https://127.0.0.1:{self.port}"
        return replace(config, server=server, ca_data=b"", ca_file="", insecure_skip_tls_verify=True)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """Look until there is something to see."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110  another process is watched
            await asyncio.sleep(0.02)
    return seen


class World:
    """Nodes and pods of one test."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.namespace = namespace
        self.nodes = client.resource("v1", "nodes")
        self.pods = client.resource("v1", "pods")
        self.events = client.resource("v1", "events")
        self.classes = client.resource("scheduling.k8s.io/v1", "priorityclasses")
        self.leases = client.resource("coordination.k8s.io/v1", "leases")
        self._made: list[str] = []
        self._ranks: list[str] = []

    async def add_node(
        self,
        name: str,
        *,
        cpu: str = "4",
        taints: list[Object] | None = None,
        unschedulable: bool = False,
        **labels: str,
    ) -> None:
        """A node that is ready, with a selector of this test's own; never seen without its taints."""
        amounts = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
        metadata = {
            "name": name,
            "labels": {"test": self.namespace, "kubernetes.io/hostname": name, **labels},
        }
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        await self.nodes.create({**node, "status": {"capacity": amounts, "allocatable": amounts}})
        self._made.append(name)
        await self.nodes.patch(name, {"spec": {"taints": taints, "unschedulable": unschedulable or None}})

    async def add_pod(self, name: str, *, cpu: str = "1", **spec: Any) -> None:
        """A pod for the nodes of this test."""
        labels = spec.pop("labels", {"app": "web"})
        container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
        spec = {
            "containers": [container],
            "nodeSelector": {"test": self.namespace},
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            **spec,
        }
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        await self.pods.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    async def add_class(self, name: str, value: int, **fields: Any) -> str:
        """A PriorityClass of this test's own."""
        name = f"{self.namespace}-{name}"
        metadata = {"name": name, "labels": {"test": self.namespace}}
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        await self.classes.create({**kind, "metadata": metadata, "value": value, **fields})
        self._ranks.append(name)
        return name

    async def pod(self, name: str) -> Object:
        return await self.pods.get(name, self.namespace)

    async def node_of(self, name: str) -> str:
        return (await self.pod(name))["spec"].get("nodeName") or ""

    async def condition(self, name: str) -> Object:
        found = (await self.pod(name)).get("status") or {}
        return conditions.find(found.get("conditions"), "PodScheduled") or {}

    async def objection(self, name: str, text: str) -> Object | None:
        """The condition, once it speaks of this."""
        found = await self.condition(name)
        return found if text in (found.get("message") or "") else None

    async def messages(self, reason: str) -> list[str]:
        items = (await self.events.list(self.namespace))["items"]
        return [item["message"] for item in items if item["reason"] == reason]

    async def clean(self) -> None:
        await self.pods.delete_collection(self.namespace, grace_period_seconds=0)
        for name in self._made:
            await self.nodes.delete(name)
        for name in self._ranks:
            await self.classes.delete(name)
