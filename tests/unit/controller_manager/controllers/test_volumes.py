"""Who lets volumes, attachments and classes of attributes go, and who leaves them alone."""

from __future__ import annotations

from kubarium.apimachinery.object import Object, finalizers_of, name_of
from tests.unit.controller_manager.cluster import Cluster

STORAGE = "storage.k8s.io/v1"


def attributes_class(name: str) -> Object:
    metadata = {"name": name}
    return {"apiVersion": STORAGE, "kind": "VolumeAttributesClass", "metadata": metadata, "driverName": "d"}


async def test_a_class_of_attributes_stays_while_a_claim_names_it(cluster: Cluster) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"volumeAttributesClassName": "used"},
    }
    for obj in (claim, attributes_class("used"), attributes_class("free")):
        cluster.api.put(obj)
    await cluster.start("volumeattributesclass-protection-controller")
    classes = cluster.api.objects(STORAGE, "volumeattributesclasses")
    assert all(finalizers_of(one) == ["kubernetes.io/vac-protection"] for one in classes)
    client = cluster.api.client()
    for name in ("used", "free"):
        await client.resource(STORAGE, "volumeattributesclasses").delete(name)
    await client.close()
    await cluster.settle()
    left = [name_of(one) for one in cluster.api.objects(STORAGE, "volumeattributesclasses")]
    assert left == ["used"]


async def test_attachments_that_others_made_are_left_alone(cluster: Cluster) -> None:
    for name in ("made-by-hand", "csi-" + 64 * "0"):
        cluster.api.put(
            {
                "apiVersion": STORAGE,
                "kind": "VolumeAttachment",
                "metadata": {"name": name},
                "spec": {"attacher": "d", "nodeName": "node-1", "source": {"persistentVolumeName": "v"}},
            }
        )
    await cluster.start("persistentvolume-attach-detach-controller")
    assert [name_of(one) for one in cluster.api.objects(STORAGE, "volumeattachments")] == ["made-by-hand"]


async def test_what_others_say_in_a_volumes_status_stays(cluster: Cluster) -> None:
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Pending"},
    }
    cluster.api.put(volume)
    await cluster.start("persistentvolume-binder-controller")
    found = cluster.api.objects("v1", "persistentvolumes")[0]
    assert found["status"]["phase"] == "Available"
    cluster.api.put({**found, "status": {**found["status"], "message": "from a driver"}})
    await cluster.settle()
    assert cluster.api.objects("v1", "persistentvolumes")[0]["status"]["message"] == "from a driver"
