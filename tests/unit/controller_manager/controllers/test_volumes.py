"""Who lets volumes, attachments and classes of attributes go, and who leaves them alone."""

from __future__ import annotations

from typing import Any

from controller_manager.controllers.volumes import protection
from kubarium.api.core import volume_binding
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


def storage_class(name: str, *, default: bool = False, **fields: str) -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": STORAGE, "kind": "StorageClass", "metadata": metadata, "provisioner": "d"} | fields


def a_claim(name: str = "data", **spec: Any) -> Object:
    wish = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wish | spec}


def a_volume(name: str = "v", size: str = "1Gi", **spec: Any) -> Object:
    shape = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": shape | spec}


async def test_a_class_that_becomes_the_default_later_is_given_to_claims_that_name_none(
    cluster: Cluster,
) -> None:
    for claim in (
        a_claim("any"),
        a_claim("none", storageClassName=""),
        a_claim("other", storageClassName="x"),
    ):
        cluster.api.put(claim)
    await cluster.start("persistentvolume-binder-controller")
    cluster.api.put(storage_class("new", default=True))
    await cluster.settle()
    claims = cluster.api.objects("v1", "persistentvolumeclaims")
    assert {name_of(one): one["spec"].get("storageClassName") for one in claims} == {
        "any": "new",
        "none": "",
        "other": "x",
    }


async def test_what_does_not_concern_a_waiting_claim_is_no_reason_to_tell_its_trouble_again(
    cluster: Cluster,
) -> None:
    cluster.api.put(a_claim(storageClassName="unknown"))
    await cluster.start("persistentvolume-binder-controller")
    for number in range(3):
        cluster.api.put(a_volume(f"v{number}"))
        cluster.api.put(storage_class(f"c{number}"))
        await cluster.settle()
    (event,) = (e for e in cluster.api.objects("v1", "events") if e["reason"] == "ProvisioningFailed")
    assert event["count"] <= 2  # of the claim as it came and as Pending; the clock stands still
    cluster.api.put(storage_class("unknown"))
    await cluster.settle()
    assert cluster.events("ExternalProvisioning")


async def test_a_volume_and_a_claim_that_name_each_other_need_not_be_of_one_class(cluster: Cluster) -> None:
    mine = {"namespace": "default", "name": "data"}
    cluster.api.put(a_claim(storageClassName="x", volumeName="v"))
    cluster.api.put(a_volume(claimRef=mine))
    await cluster.start("persistentvolume-binder-controller")
    await cluster.settle()
    assert cluster.api.objects("v1", "persistentvolumeclaims")[0]["status"]["phase"] == "Bound"


async def test_a_volume_that_names_a_claim_must_be_large_enough_for_it(cluster: Cluster) -> None:
    cluster.api.put(a_claim(storageClassName=""))
    cluster.api.put(a_volume(size="1Mi", claimRef={"namespace": "default", "name": "data"}))
    await cluster.start("persistentvolume-binder-controller")
    await cluster.settle()
    assert cluster.api.objects("v1", "persistentvolumeclaims")[0]["status"]["phase"] == "Pending"


def test_why_a_volume_cannot_serve_a_claim() -> None:
    claim = a_claim(storageClassName="x", volumeAttributesClassName="gold")
    volume = a_volume(storageClassName="x", volumeAttributesClassName="gold")
    assert volume_binding.mismatch(volume, claim) == ""
    spec = volume["spec"]
    for changed, why in (
        ({"capacity": {"storage": "1Mi"}, "storageClassName": "y"}, "requested PV is too small"),
        ({"storageClassName": "y", "volumeMode": "Block"}, "storageClassName does not match"),
        (
            {"volumeAttributesClassName": None, "volumeMode": "Block"},
            "volumeAttributesClassName does not match",
        ),
        ({"volumeMode": "Block", "accessModes": []}, "incompatible volumeMode"),
        ({"accessModes": ["ReadOnlyMany"]}, "incompatible accessMode"),
    ):
        assert volume_binding.mismatch({**volume, "spec": {**spec, **changed}}, claim) == why
    going = {**volume, "metadata": {"name": "v", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert volume_binding.mismatch(going, claim) == 'the volume is marked for deletion "v"'


def a_user(claim: str, **volume: Any) -> Object:
    volumes = [{"name": "v", **(volume or {"persistentVolumeClaim": {"claimName": claim}})}]
    spec = {"nodeName": "n", "containers": [], "volumes": volumes}
    metadata = {"name": "user", "namespace": "default", "uid": "user"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def test_an_ended_pod_holds_its_claim_until_it_is_deleted(cluster: Cluster) -> None:
    cluster.api.put(a_claim())
    cluster.api.put({**a_user("data"), "status": {"phase": "Succeeded"}})
    await cluster.start("persistentvolumeclaim-protection-controller")
    client = cluster.api.client()
    await client.resource("v1", "persistentvolumeclaims").delete("data", "default")
    await client.close()
    await cluster.settle()
    assert cluster.api.objects("v1", "persistentvolumeclaims")
    cluster.api.remove("v1", "pods", "default", "user")
    await cluster.settle()
    assert not cluster.api.objects("v1", "persistentvolumeclaims")


def test_a_claim_made_for_a_pod_is_let_go_once_its_node_is_done_with_it() -> None:
    pod = a_user("", ephemeral={"volumeClaimTemplate": {}})
    assert protection.held_by(pod) == {"user-v"}
    pod["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}
    assert protection.held_by(pod) == set()
    assert protection.held_by({**a_user("data"), "metadata": pod["metadata"]}) == {"data"}


async def test_a_foreign_claim_in_the_place_of_an_ephemeral_one_is_told(cluster: Cluster) -> None:
    cluster.api.put(a_claim("user-v"))
    cluster.api.put(a_user("", ephemeral={"volumeClaimTemplate": {"spec": {}}}))
    await cluster.start("ephemeral-volume-controller")
    await cluster.settle()
    assert cluster.events("FailedBinding") == [
        "ephemeral volume v: PVC default/user-v was not created for pod default/user (pod is not owner)"
    ]
