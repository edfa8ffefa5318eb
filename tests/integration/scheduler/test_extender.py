"""A scheduler that asks a program of somebody else's at every turn, on a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from tests.extender_server import ExtenderServer
from tests.integration.running import ApiServer
from tests.integration.scheduler.world import SchedulerProcess, World, eventually

CHIP = "example.com/chip"


class BindingServer(ExtenderServer):
    """Binds pods itself."""

    def __init__(self, client: Client, prefix: str) -> None:
        super().__init__(prefix)
        self._pods = client.resource("v1", "pods")

    async def bind(self, body: Object) -> str:
        metadata = {"name": body["PodName"], "namespace": body["PodNamespace"], "uid": body["PodUID"]}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata}
        target = {"kind": "Node", "name": body["Node"]}
        try:
            await self._pods.create(
                {**binding, "target": target}, namespace=body["PodNamespace"], subresource="binding"
            )
        except StatusError as error:
            return str(error)
        return ""


def _configuration(port: int) -> Object:
    extender = {
        "urlPrefix": f"http://127.0.0.1:{port}/extend",
        **{f"{verb}Verb": verb for verb in ("filter", "prioritize", "preempt", "bind")},
        "weight": 100,
        "nodeCacheCapable": True,
        "managedResources": [{"name": CHIP, "ignoredByScheduler": True}],
    }
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": "asking"}],
        "extenders": [extender],
    }


async def test_an_extender_filters_ranks_binds_and_chooses_victims(
    world: World, client: Client, api_server: ApiServer, tmp_path: Path
) -> None:
    prefix = f"{world.namespace}-"
    for name in "abc":
        await world.add_node(f"{prefix}{name}", cpu="1")

    async def add(name: str, **spec: Any) -> None:
        amounts = {"cpu": "1", CHIP: "1"}
        resources = {"requests": amounts, "limits": amounts}
        container = {"name": "main", "image": "busybox", "resources": resources}
        await world.add_pod(name, schedulerName="asking", containers=[container], **spec)

    async with BindingServer(client, prefix).listening() as extender:
        extender.preempts_on = f"{prefix}b"
        file = tmp_path / "scheduler.json"
        file.write_text(json.dumps(_configuration(extender.port)))
        scheduler = SchedulerProcess(api_server, tmp_path, f"--config={file}")
        scheduler.start()
        try:
            await add("first")
            assert await eventually(lambda: world.node_of("first")) == f"{prefix}c"  # which it likes
            assert [verb for verb, _ in extender.asked] == ["filter", "prioritize", "bind"]
            assert await eventually(lambda: world.messages("Scheduled"))
            await add("second")
            assert await eventually(lambda: world.node_of("second")) == f"{prefix}b"
            await add("third")
            condition = await eventually(lambda: world.objection("third", "1 no licence"))
            assert condition["reason"] == "Unschedulable" and "2 Insufficient cpu" in condition["message"]
            await world.add_pod("unasked", schedulerName="asking")  # names no chip
            assert await eventually(lambda: world.node_of("unasked")) == f"{prefix}a"
            await add("vip", priorityClassName=await world.add_class("high", 1000))
            assert await eventually(lambda: world.node_of("vip")) == f"{prefix}b"
            asked = next(body for verb, body in extender.asked if verb == "preempt")
            assert asked["NodeNameToMetaVictims"].keys() >= {f"{prefix}b", f"{prefix}c"}
            left = {pod["metadata"]["name"] for pod in (await world.pods.list(world.namespace))["items"]}
            assert left == {"first", "third", "unasked", "vip"}
        finally:
            scheduler.stop()
