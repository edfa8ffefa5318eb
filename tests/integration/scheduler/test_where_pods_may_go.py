"""What keeps a pod away from a node, on a real API server: the stories of upstream's SchedulerPredicates, and more."""

from __future__ import annotations

from typing import Any

from tests.integration.scheduler.world import ZONE, World, eventually

SELECTOR = "didn't match Pod's node affinity/selector"
NO_PORT = "didn't have free ports for the requested pod ports"


async def test_more_than_any_node_offers_is_refused(world: World) -> None:
    for name in ("a", "b"):
        await world.add_node(f"{world.namespace}-{name}", cpu="1")
        await world.add_pod(f"filler-{name}", cpu="700m")
    nodes = {await eventually(lambda name=name: world.node_of(f"filler-{name}")) for name in ("a", "b")}  # type: ignore[misc]
    assert len(nodes) == 2
    await world.add_pod("additional", cpu="500m")
    condition = await eventually(lambda: world.objection("additional", "2 Insufficient cpu"))
    assert condition["status"] == "False" and condition["reason"] == "Unschedulable"
    text = "no new claims to deallocate, preemption: 0/"
    assert text in condition["message"] and "2 No preemption victims found" in condition["message"]

    async def said() -> bool:
        return any(text in message for message in await world.messages("FailedScheduling"))

    await eventually(said)
    await world.pods.delete("filler-a", world.namespace, grace_period_seconds=0)
    assert await eventually(lambda: world.node_of("additional"))


async def test_selector_and_affinity_wait_for_a_label(world: World) -> None:
    node = f"{world.namespace}-a"
    await world.add_node(node)
    expression = {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}
    wanted = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": wanted}}
    await world.add_pod("selects", nodeSelector={"test": world.namespace, "example.com/e2e": "42"})
    await world.add_pod("is-drawn", affinity=required)
    for name in ("selects", "is-drawn"):
        await eventually(lambda name=name: world.objection(name, SELECTOR))  # type: ignore[misc]
    await world.nodes.patch(node, {"metadata": {"labels": {"example.com/e2e": "42"}}})
    assert await eventually(lambda: world.node_of("selects")) == node
    assert not await world.node_of("is-drawn")
    await world.nodes.patch(node, {"metadata": {"labels": {"disk": "nvme"}}})
    assert await eventually(lambda: world.node_of("is-drawn")) == node


async def test_a_port_of_the_node_is_given_once(world: World) -> None:
    node = f"{world.namespace}-a"
    await world.add_node(node)

    async def add(name: str, protocol: str = "TCP", **address: str) -> None:
        ports = [{"containerPort": 80, "hostPort": 54321, "protocol": protocol, **address}]
        requests = {"requests": {"cpu": "100m"}}
        container = {"name": "main", "image": "busybox", "ports": ports, "resources": requests}
        await world.add_pod(name, containers=[container])

    await add("first", hostIP="127.0.0.1")
    await add("other-address", hostIP="127.0.0.2")
    await add("other-protocol", "UDP", hostIP="127.0.0.1")
    for name in ("first", "other-address", "other-protocol"):
        assert await eventually(lambda name=name: world.node_of(name)) == node  # type: ignore[misc]
    await add("same", hostIP="127.0.0.2")
    await add("all-addresses", hostIP="0.0.0.0")
    await add("all-addresses-unsaid", "UDP")
    for name in ("same", "all-addresses", "all-addresses-unsaid"):
        await eventually(lambda name=name: world.objection(name, NO_PORT))  # type: ignore[misc]
    await world.pods.delete("other-protocol", world.namespace, grace_period_seconds=0)
    assert await eventually(lambda: world.node_of("all-addresses-unsaid")) == node
    await add("late", "UDP", hostIP="127.0.0.9")
    await eventually(lambda: world.objection("late", NO_PORT))


async def test_taints_keep_away_whoever_does_not_tolerate_them(world: World) -> None:
    tainted, cordoned = f"{world.namespace}-tainted", f"{world.namespace}-cordoned"
    taint = {"key": "example.com/dedicated", "value": "db", "effect": "NoSchedule"}
    await world.add_node(tainted, taints=[taint])
    tolerations = [{"key": "example.com/dedicated", "operator": "Equal", "value": "db"}]
    await world.add_pod("stranger")
    await eventually(lambda: world.objection("stranger", "1 node(s) had untolerated taint(s)"))
    await world.add_pod("guest", tolerations=tolerations)
    assert await eventually(lambda: world.node_of("guest")) == tainted
    await world.nodes.patch(tainted, {"spec": {"taints": None}})
    assert await eventually(lambda: world.node_of("stranger")) == tainted
    await world.add_node(cordoned, unschedulable=True)
    await world.add_pod("late", nodeSelector={"kubernetes.io/hostname": cordoned})
    await eventually(lambda: world.objection("late", "1 node(s) were unschedulable"))
    await world.nodes.patch(cordoned, {"spec": {"unschedulable": None}})
    assert await eventually(lambda: world.node_of("late")) == cordoned


async def test_four_pods_are_two_and_two(world: World) -> None:
    """Upstream's `PodTopologySpread Filtering`: the emptier domain is the only one, however full its node is."""
    for name, zone, cpu in (("a", "z1", "2"), ("b", "z2", "16")):
        await world.add_node(f"{world.namespace}-{name}", cpu=cpu, **{ZONE: zone})
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "spread"}},
    }
    more: Any = {"labels": {"app": "spread"}, "topologySpreadConstraints": [constraint]}
    for number in range(4):
        await world.add_pod(f"p{number}", **more)
    nodes = [await eventually(lambda n=number: world.node_of(f"p{n}")) for number in range(4)]  # type: ignore[misc]
    assert sorted(nodes.count(node) for node in set(nodes)) == [2, 2]
    for name in ("p4", "p5"):  # one more goes to the large node; then the small one is due, and full
        await world.add_pod(name, **more)
    await eventually(lambda: _either(world, "1 node(s) didn't match pod topology spread constraints"))


async def _either(world: World, text: str) -> bool:
    placed = [name for name in ("p4", "p5") if await world.node_of(name)]
    refused = [name for name in ("p4", "p5") if await world.objection(name, text)]
    return len(placed) == 1 and len(refused) == 1
