"""A kubelet and its Node object, on a real API server."""

from __future__ import annotations

from kubarium.apimachinery.object import name_of
from kubarium.client.events import EventRecorder
from kubarium.client.rest import Client
from kubarium.component_base.clock import FakeClock
from kubelet.node import facts
from kubelet.node.registration import NodeReporter
from kubelet.node.status import Health
from kubelet.options import Options
from kubelet.runtime.interface import RuntimeInfo

NODE = "deleted-by-hand"


def started(client: Client) -> NodeReporter:
    async def runtime() -> RuntimeInfo:
        return RuntimeInfo("containerd", "Unknown")

    async def health() -> Health:
        return Health()

    options, clock = Options(hostname_override=NODE, node_ip="127.0.0.1"), FakeClock()
    found = facts.gather(options, "127.0.0.1")
    return NodeReporter(
        client,
        found,
        clock,
        labels=facts.labels(options, found.machine),
        taints=[],
        register=options.register_node,
        runtime=runtime,
        images=list,
        health=health,
        pressure=dict,
        recorder=EventRecorder(client, "kubelet", NODE, clock),
    )


async def test_a_deleted_node_stays_away_until_its_kubelet_starts_again(client: Client) -> None:
    nodes = client.resource("v1", "nodes")

    async def are_there() -> list[str]:
        return [name_of(node) for node in (await nodes.list())["items"]]

    kubelet = started(client)
    await kubelet.turn()
    assert NODE in await are_there()
    await nodes.delete(NODE)
    await kubelet.turn()
    assert NODE not in await are_there()
    await started(client).turn()
    assert NODE in await are_there()
    await nodes.delete(NODE)
