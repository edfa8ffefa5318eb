"""Stories about nodes: ranges, taints, and pods that are driven away."""

from __future__ import annotations

from kubarium.apimachinery import conditions
from kubarium.apimachinery import time as times
from kubarium.apimachinery.object import Object, annotations_of, is_deleting, name_of, spec_of
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager.world import World


async def test_a_node_gets_a_range_and_loses_its_taint_when_it_is_ready(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name = world.namespace
    now = times.format_time(RealClock().now())

    def ready(status: str) -> Object:
        condition = {"type": "Ready", "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now}
        return {"status": {"conditions": [condition]}}

    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        await nodes.patch(name, ready("False"), subresource="status")

        async def looks(*effects: str) -> bool:
            node = await nodes.get(name)
            taints = [
                t["effect"] for t in spec_of(node).get("taints") or [] if t["key"].endswith("/not-ready")
            ]
            has_range = spec_of(node).get("podCIDR", "").startswith("10.244.")
            told = annotations_of(node).get("node.alpha.kubernetes.io/ttl") == "0"
            return sorted(taints) == list(effects) and has_range and told

        await world.until(lambda: looks("NoSchedule"))
        await nodes.patch(name, ready("True"), subresource="status")
        await world.until(lambda: looks())
    finally:
        await nodes.delete(name)


async def test_no_execute_drives_pods_away_after_their_patience(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name = world.namespace
    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        for pod, tolerations in (
            ("at-once", []),
            ("for-ever", [{"key": "gone", "operator": "Exists", "effect": "NoExecute"}]),
            (
                "a-while",
                [{"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}],
            ),
        ):
            spec = {"nodeName": name, "containers": [{"name": "c", "image": "x"}], "tolerations": tolerations}
            await world.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})
        taint = {"key": "gone", "effect": "NoExecute"}
        await nodes.patch(name, {"spec": {"taints": [taint]}})

        async def both_leave() -> bool:
            found = {name_of(p) for p in await world.pods() if p["metadata"].get("deletionTimestamp")}
            return found == {"at-once", "a-while"}

        await world.until(both_leave)
        leaving = [(await world.get("v1", "pods", name))["metadata"] for name in ("at-once", "a-while")]
        first, second = (times.parse_time(one["deletionTimestamp"]) for one in leaving)
        assert second >= first
        disrupted = conditions.find(
            (await world.get("v1", "pods", "at-once"))["status"]["conditions"], "DisruptionTarget"
        )
        assert disrupted and disrupted["reason"] == "DeletionByTaintManager"
    finally:
        await nodes.delete(name)


async def test_a_taint_that_goes_again_drives_nobody_away(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name = world.namespace
    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    patient = {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600}
    spec = {"nodeName": name, "containers": [{"name": "c", "image": "x"}], "tolerations": [patient]}
    await world.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "patient"}, "spec": spec})
    taint = {"key": "gone", "effect": "NoExecute"}

    async def called_off() -> bool:  # a taint that goes before anybody has seen it changes nothing
        await nodes.patch(name, {"spec": {"taints": [taint]}})
        await nodes.patch(name, {"spec": {"taints": None}})
        return f"Cancelling deletion of Pod {name}/patient" in await world.events("TaintManagerEviction")

    try:
        await world.until(called_off)
        assert not is_deleting(await world.get("v1", "pods", "patient"))
    finally:
        await nodes.delete(name)
