"""Pods go where their volumes are, or can be."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object
from tests.unit.scheduler.builders import make_node, make_pod

HOSTNAME = "kubernetes.io/hostname"


def make_class(
    name: str, *, provisioner: str = "kubernetes.io/no-provisioner", wait: bool = True, **more: Any
) -> Object:
    mode = "WaitForFirstConsumer" if wait else "Immediate"
    metadata = {"name": name}
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"}
    return {**kind, "metadata": metadata, "provisioner": provisioner, "volumeBindingMode": mode, **more}


def make_volume(
    name: str, node: str, *, size: str = "1Gi", storage_class: str = "local", **more: Any
) -> Object:
    expression = {"key": HOSTNAME, "operator": "In", "values": [node]}
    spec: Object = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": spec | more,
        "status": {"phase": "Available"},
    }


def make_claim(
    name: str, *, volume: str = "", size: str = "1Gi", storage_class: str = "local", **more: Any
) -> Object:
    metadata: Object = {"name": name, "namespace": "default", "uid": f"claim-{name}"}
    if volume:
        metadata["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
        "volumeName": volume,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec | more}


def mounting(name: str, claim: str) -> Object:
    return make_pod(name, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim}}])


NODES = [make_node("a"), make_node("b"), make_node("c")]


async def test_a_bound_volume_draws_its_pod(start: Any) -> None:
    async with start(
        *NODES, make_volume("v", "b"), make_claim("data", volume="v"), mounting("web", "data")
    ) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")


async def test_a_missing_claim_is_named(start: Any) -> None:
    async with start(*NODES, mounting("web", "nothing")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        message = cluster.condition("web")["message"]
        assert message.startswith('0/3 nodes are available: persistentvolumeclaim "nothing" not found.')
        cluster.api.put(make_volume("v", "c"))
        cluster.api.put(make_claim("nothing", volume="v"))
        await cluster.until(lambda: cluster.node_of("web") == "c")


async def test_an_unbound_immediate_claim_is_waited_for(start: Any) -> None:
    objects = [
        make_class("fast", wait=False),
        make_claim("data", storage_class="fast"),
        mounting("web", "data"),
    ]
    async with start(*NODES, *objects) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert "pod has unbound immediate PersistentVolumeClaims" in cluster.condition("web")["message"]


async def test_the_smallest_volume_that_fits_is_promised_before_the_pod_is_bound(start: Any) -> None:
    other = make_volume("other", "b", size="2Gi", volumeAttributesClassName="gold")
    volumes = [other, make_volume("large", "a", size="9Gi"), make_volume("small", "b", size="2Gi")]
    objects = [make_class("local"), *volumes, make_claim("data", size="2Gi"), mounting("web", "data")]
    async with start(make_node("b"), make_node("c"), *objects) as cluster:

        def promised() -> Object:
            return cluster.api.get("v1", "persistentvolumes", "", "small")["spec"].get("claimRef") or {}

        await cluster.until(promised)
        assert promised()["name"] == "data" and not cluster.node_of("web")
        cluster.api.put(make_claim("data", size="2Gi", volume="small"))  # as the volume controller does
        await cluster.until(lambda: cluster.node_of("web") == "b")


async def test_what_an_earlier_claim_of_that_name_left_is_given_to_nobody(start: Any) -> None:
    old = {"namespace": "default", "name": "data", "uid": "of-the-earlier-one"}
    objects = [
        make_class("local"),
        make_volume("v", "a", claimRef=old),
        make_claim("data"),
        mounting("web", "data"),
    ]
    async with start(make_node("a"), *objects) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert "didn't find available persistent volumes to bind" in cluster.condition("web")["message"]
        assert cluster.api.get("v1", "persistentvolumes", "", "v")["spec"]["claimRef"] == old
        mine = make_volume(
            "mine", "a", claimRef={"namespace": "default", "name": "data", "uid": "claim-data"}
        )
        cluster.api.put(mine)
        cluster.api.put(make_claim("data", volume="mine"))
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_a_provisioner_is_told_the_node(start: Any) -> None:
    objects = [
        make_class("dynamic", provisioner="example.com/disk"),
        make_claim("data", storage_class="dynamic"),
    ]
    async with start(make_node("a"), *objects, mounting("web", "data")) as cluster:

        def selected() -> str:
            claim = cluster.api.get("v1", "persistentvolumeclaims", "default", "data")
            return (claim["metadata"].get("annotations") or {}).get(
                "volume.kubernetes.io/selected-node"
            ) or ""

        await cluster.until(lambda: selected() == "a")


async def test_one_pod_only(start: Any) -> None:
    claim = make_claim("data", volume="v", accessModes=["ReadWriteOncePod"])
    async with start(make_node("a"), make_volume("v", "a"), claim, mounting("first", "data")) as cluster:
        await cluster.until(lambda: cluster.node_of("first"))
        cluster.api.put(mounting("second", "data"))
        await cluster.until(lambda: cluster.condition("second"))
        assert "ReadWriteOncePod access mode" in cluster.condition("second")["message"]
        cluster.api.remove("v1", "pods", "default", "first")
        await cluster.until(lambda: cluster.node_of("second") == "a")


async def test_a_driver_takes_so_many_volumes(start: Any) -> None:
    objects: list[Object] = []
    for number in range(3):
        volume = make_volume(f"v{number}", "a", csi={"driver": "d", "volumeHandle": f"h{number}"})
        objects += [
            volume,
            make_claim(f"c{number}", volume=f"v{number}"),
            mounting(f"p{number}", f"c{number}"),
        ]
    drivers = [{"name": "d", "nodeID": "a", "allocatable": {"count": 2}}]
    csi_node = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": "a"},
        "spec": {"drivers": drivers},
    }
    async with start(make_node("a"), csi_node, *objects) as cluster:
        await cluster.until(lambda: any(cluster.condition(f"p{number}") for number in range(3)))
        conditions = [c for c in (cluster.condition(f"p{number}") for number in range(3)) if c]
        assert "1 node(s) exceed max volume count" in conditions[0]["message"]
