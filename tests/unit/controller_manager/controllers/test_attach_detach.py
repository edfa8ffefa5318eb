"""When a volume is attached to a node, and when it is let go."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster

STORAGE = "storage.k8s.io/v1"
CONTROLLER = "persistentvolume-attach-detach-controller"
UNIQUE = "kubernetes.io/csi/d^h"


def put_volume(cluster: Cluster, mode: str = "ReadWriteOnce") -> None:
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "v"},
            "spec": {
                "accessModes": [mode],
                "csi": {"driver": "d", "volumeHandle": "h"},
                "claimRef": {"name": "data", "namespace": "default"},
            },
        }
    )
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "default"},
            "spec": {"volumeName": "v"},
            "status": {"phase": "Bound"},
        }
    )


def put_pod(cluster: Cluster, name: str, node: str, phase: str = "Running") -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"nodeName": node, "volumes": volumes, "containers": [{"name": "main"}]},
            "status": {"phase": phase},
        }
    )


def put_node(cluster: Cluster, name: str, *in_use: str, **spec: Any) -> None:
    known = cluster.api.objects("v1", "nodes")
    status = next((node["status"] for node in known if node["metadata"]["name"] == name), {})
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "spec": spec,
            "status": {**status, "volumesInUse": list(in_use)},
        }
    )


def attachments(cluster: Cluster) -> list[Object]:
    found: list[Object] = cluster.api.objects(STORAGE, "volumeattachments")
    return found


def attach(cluster: Cluster, **status: Any) -> None:
    (found,) = attachments(cluster)
    cluster.api.put({**found, "status": {"attached": True, **status}})


async def test_a_volume_goes_only_when_the_kubelet_has_let_go(cluster: Cluster) -> None:
    put_volume(cluster)
    put_node(cluster, "n")
    put_pod(cluster, "p", "n")
    await cluster.start(CONTROLLER)
    attach(cluster)
    await cluster.settle()
    (node,) = cluster.api.objects("v1", "nodes")
    assert node["status"]["volumesAttached"] == [{"name": UNIQUE, "devicePath": ""}]

    put_node(cluster, "n", UNIQUE)
    put_pod(cluster, "p", "n", phase="Succeeded")
    await cluster.settle()
    assert attachments(cluster)
    put_node(cluster, "n")
    await cluster.settle()
    assert not attachments(cluster)


async def test_a_node_out_of_service_is_not_waited_for(cluster: Cluster) -> None:
    put_volume(cluster)
    put_node(cluster, "n", UNIQUE)
    put_pod(cluster, "p", "n")
    await cluster.start(CONTROLLER)
    put_pod(cluster, "p", "n", phase="Failed")
    await cluster.settle()
    assert attachments(cluster)
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    put_node(cluster, "n", UNIQUE, taints=[taint])
    await cluster.settle()
    assert not attachments(cluster)


async def test_a_volume_for_one_node_is_not_attached_to_a_second(cluster: Cluster) -> None:
    put_volume(cluster)
    for name in ("m", "n"):
        put_node(cluster, name)
    put_pod(cluster, "p", "n")
    await cluster.start(CONTROLLER)
    put_pod(cluster, "q", "m")
    await cluster.settle()
    assert [one["spec"]["nodeName"] for one in attachments(cluster)] == ["n"]
    await cluster.settle(seconds=60)  # asked for again several times, and told once
    (event,) = (e for e in cluster.api.objects("v1", "events") if "Multi-Attach" in e["message"])
    assert event["message"] == 'Multi-Attach error for volume "v" Volume is already used by pod(s) p'
    assert (event["involvedObject"]["name"], event["count"]) == ("q", 1)
    put_pod(cluster, "p", "n", phase="Succeeded")
    await cluster.settle()
    assert [one["spec"]["nodeName"] for one in attachments(cluster)] == ["m"]


async def test_a_volume_for_many_is(cluster: Cluster) -> None:
    put_volume(cluster, "ReadWriteMany")
    for name in ("m", "n"):
        put_node(cluster, name)
        put_pod(cluster, f"p-{name}", name)
    await cluster.start(CONTROLLER)
    assert len(attachments(cluster)) == 2
