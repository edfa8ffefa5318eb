"""Lost nodes, on a fake API server and a clock that the test turns."""

from __future__ import annotations

import asyncio

from controller_manager.controllers.nodes.node_ipam import NodeIPAMController, RangeIsFull, SubnetPool
from controller_manager.controllers.nodes.node_lifecycle import zone_state
from kubarium.api.core import taints
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from tests.unit.controller_manager.cluster import Cluster


def node(name: str, cluster: Cluster) -> Object:
    now = time.format_time(cluster.clock.now())
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {},
        "status": {"conditions": [ready]},
    }


def beat(cluster: Cluster, *names: str) -> None:
    for name in names:
        renewed = {"renewTime": time.format_micro_time(cluster.clock.now())}
        metadata = {"name": name, "namespace": "kube-node-lease"}
        cluster.api.put(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": renewed}
        )


async def test_a_silent_node_is_tainted_and_its_pods_are_evicted(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        cluster.api.put(node(name, cluster))
    patient = [
        {"key": taints.UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
    ]
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}
    pod["spec"] = {"nodeName": "c", "tolerations": patient}
    cluster.set_pod(pod, "Running")
    await cluster.start(
        "node-lifecycle-controller", "taint-eviction-controller", node_monitor_grace_period=40.0
    )
    for _ in range(12):
        beat(cluster, "a", "b")
        await cluster.settle(5)
    lost = cluster.api.get("v1", "nodes", "", "c")
    ready = conditions.find(lost["status"]["conditions"], "Ready")
    assert ready and (ready["status"], ready["message"]) == (
        "Unknown",
        "Kubelet stopped posting node status.",
    )
    assert {t["effect"] for t in taints.taints_of(lost) if t["key"] == taints.UNREACHABLE} == {
        "NoSchedule",
        "NoExecute",
    }
    assert not conditions.is_true(cluster.api.get("v1", "pods", "default", "p"), "Ready")
    assert taints.taints_of(cluster.api.get("v1", "nodes", "", "a")) == []
    for _ in range(7):
        beat(cluster, "a", "b")
        await cluster.settle(5)
    assert cluster.api.get("v1", "pods", "default", "p")["metadata"]["deletionTimestamp"]
    assert "Node c status is now: NodeNotReady" in cluster.events("NodeNotReady")


async def test_a_taint_that_is_taken_away_in_time_evicts_nobody(cluster: Cluster) -> None:
    cluster.api.put(node("a", cluster))
    patient = {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
    for name in ("first", "second"):
        made = pod_on("a", name)
        made["spec"]["tolerations"] = [patient]
        cluster.set_pod(made, "Running")
    await cluster.start("taint-eviction-controller")

    async def taint(*listed: Object) -> None:
        cluster.api.put({**cluster.api.get("v1", "nodes", "", "a"), "spec": {"taints": list(listed)}})
        await cluster.settle()

    gone = {"key": "gone", "value": "yes", "effect": "NoExecute"}
    await taint(gone)
    await cluster.settle(55)
    await taint()
    await cluster.settle(120)
    assert not any(one["metadata"].get("deletionTimestamp") for one in cluster.pods())
    told = {f"Cancelling deletion of Pod default/{name}" for name in ("first", "second")}
    assert set(cluster.events("TaintManagerEviction")) == told
    await taint(gone)  # and whoever is asked again has all his time again
    await cluster.settle(55)
    assert not any(one["metadata"].get("deletionTimestamp") for one in cluster.pods())
    await cluster.settle(10)
    assert all(one["metadata"].get("deletionTimestamp") for one in cluster.pods())


def pod_on(node: str, name: str) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}}


async def test_pods_are_not_ready_where_the_controller_lost_the_node_and_nowhere_else(
    cluster: Cluster,
) -> None:
    """Not on a node that has said nothing yet, nor where the kubelet itself says that it is not ready."""
    silent, unwell, lost = (node(name, cluster) for name in ("silent", "unwell", "lost"))
    silent["status"] = {}
    for one in (silent, unwell, lost, node("well", cluster)):
        cluster.api.put(one)
        cluster.set_pod(pod_on(one["metadata"]["name"], one["metadata"]["name"]), "Running")
    await cluster.start("node-lifecycle-controller", node_monitor_grace_period=40.0)
    unwell = cluster.api.get("v1", "nodes", "", "unwell")
    unwell["status"]["conditions"][0]["status"] = "False"
    cluster.api.put(unwell)

    def ready() -> set[str]:
        return {one["metadata"]["name"] for one in cluster.pods() if conditions.is_true(one, "Ready")}

    for _ in range(10):
        beat(cluster, "unwell", "well")
        await cluster.settle(5)
    assert ready() == {"silent", "unwell", "well"}
    assert not taints.taints_of(cluster.api.get("v1", "nodes", "", "silent"))
    cluster.set_pod(pod_on("lost", "late"), "Running")
    await cluster.until(lambda: ready() == {"silent", "unwell", "well"})
    assert len(cluster.events("NodeNotReady")) == 3  # the node, and each of its pods


async def test_nothing_is_evicted_when_all_nodes_are_lost(cluster: Cluster) -> None:
    for name in ("a", "b"):
        cluster.api.put(node(name, cluster))
    await cluster.start("node-lifecycle-controller")
    for _ in range(20):
        await cluster.settle(5)
    for name in ("a", "b"):
        assert effects(cluster, name) == {"NoSchedule"}


async def test_who_was_lost_before_the_last_one_is_spared_as_well(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        cluster.api.put(node(name, cluster))
    await cluster.start("node-lifecycle-controller")
    for _ in range(20):
        beat(cluster, "a", "b")
        await cluster.settle(5)
    assert effects(cluster, "c") == {"NoSchedule", "NoExecute"}
    for _ in range(20):
        await cluster.settle(5)
    assert [effects(cluster, name) for name in "abc"] == [{"NoSchedule"}] * 3


def test_a_zone_is_as_bad_as_its_share_of_lost_nodes() -> None:
    assert zone_state(["True", "True", "Unknown"], 0.55) == "Normal"
    assert zone_state(["True", "Unknown", "False", "Unknown"], 0.55) == "PartialDisruption"
    assert zone_state(["Unknown"], 0.55) == "FullDisruption"


def test_subnets_are_given_and_taken_back() -> None:
    pool = SubnetPool("10.244.0.0/22", 24)
    pool.occupy("10.244.1.0/24")
    given = [pool.take() for _ in range(3)]
    assert given == ["10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24"]
    try:
        pool.take()
        raise AssertionError("a fourth subnet came out of three")
    except RangeIsFull:
        pass
    pool.release("10.244.2.0/24")
    assert pool.take() == "10.244.2.0/24"
    assert SubnetPool("fd00::/48", 64).take() == "fd00::/64"


async def test_a_node_takes_one_range_although_the_cache_is_late(cluster: Cluster) -> None:
    for name in ("a", "b"):
        cluster.api.put(node(name, cluster))
    client = cluster.api.client()
    informers = Informers(client, cluster.clock)
    controller = NodeIPAMController(
        client,
        informers,
        cluster.clock,
        EventRecorder(client, "cidrAllocator", clock=cluster.clock),
        pools=[SubnetPool("10.244.0.0/16", 24)],
    )
    following = asyncio.ensure_future(informers.run())
    await informers.synced()
    cluster.api.hold_back("nodes")
    for name in ("a", "a", "b"):
        await controller.reconcile(ObjectKey("", name))
    ranges = [cluster.api.get("v1", "nodes", "", name)["spec"]["podCIDR"] for name in ("a", "b")]
    assert ranges == ["10.244.0.0/24", "10.244.1.0/24"]
    following.cancel()


def effects(cluster: Cluster, name: str) -> set[str]:
    """Of the taints of a node."""
    return {taint["effect"] for taint in taints.taints_of(cluster.api.get("v1", "nodes", "", name))}
