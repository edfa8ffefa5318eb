"""Pods leave devices that their driver has tainted, on a fake API server and a clock that the test turns."""

from __future__ import annotations

from kubarium.apimachinery import conditions, errors, time
from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster, template

API = "resource.k8s.io/v1"


def put_slice(cluster: Cluster, *effects: str, generation: int = 1) -> None:
    """One device `gpu-0` with these taints."""
    now = time.format_time(cluster.clock.now())
    taints = [{"key": "broken", "effect": effect, "timeAdded": now} for effect in effects]
    cluster.api.put(
        {
            "apiVersion": API,
            "kind": "ResourceSlice",
            "metadata": {"name": f"slice-{generation}"},
            "spec": {
                "driver": "gpu.example.com",
                "pool": {"name": "n1", "generation": generation, "resourceSliceCount": 1},
                "nodeName": "n1",
                "devices": [{"name": "gpu-0", "taints": taints}],
            },
        }
    )


def put_user(cluster: Cluster, name: str, **toleration: object) -> None:
    """A pod that runs with a claim for that device."""
    metadata = {"name": name, "namespace": "default"}
    entry = {"name": "gpu", "resourceClaimName": name}
    spec = {**template()["spec"], "nodeName": "n1", "resourceClaims": [entry]}
    status = {"phase": "Running"}
    pod = cluster.api.put(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
    )
    given: Object = {"driver": "gpu.example.com", "pool": "n1", "device": "gpu-0", "request": "r"}
    if toleration:
        given["tolerations"] = [toleration]
    held = {"resource": "pods", "name": name, "uid": pod["metadata"]["uid"]}
    claim_status = {"allocation": {"devices": {"results": [given]}}, "reservedFor": [held]}
    cluster.api.put(
        {"apiVersion": API, "kind": "ResourceClaim", "metadata": metadata, "spec": {}, "status": claim_status}
    )


def is_leaving(cluster: Cluster, name: str) -> bool:
    try:
        pod = cluster.api.get("v1", "pods", "default", name)
    except errors.NotFound:
        return True
    return "deletionTimestamp" in pod["metadata"]


async def test_pods_leave_a_tainted_device_when_their_claims_patience_ends(cluster: Cluster) -> None:
    put_slice(cluster, "NoSchedule")
    put_user(cluster, "at-once")
    put_user(cluster, "a-while", key="broken", operator="Exists", effect="NoExecute", tolerationSeconds=60)
    put_user(cluster, "for-ever", operator="Exists")
    await cluster.start("device-taint-eviction-controller")
    assert not any(is_leaving(cluster, name) for name in ("at-once", "a-while", "for-ever"))
    put_slice(cluster, "NoSchedule", "NoExecute")
    await cluster.until(lambda: is_leaving(cluster, "at-once"))
    assert not is_leaving(cluster, "a-while")
    condition = conditions.find(
        cluster.api.get("v1", "pods", "default", "at-once")["status"]["conditions"], "DisruptionTarget"
    )
    assert condition and condition["reason"] == "DeletionByDeviceTaintManager"
    assert condition["message"] == "Device Taint manager: deleting due to NoExecute taint"
    await cluster.settle(61)
    assert is_leaving(cluster, "a-while") and not is_leaving(cluster, "for-ever")
    assert "Marking for deletion Pod default/a-while" in cluster.events("DeviceTaintManagerEviction")


async def test_a_taint_that_is_taken_off_in_time_leaves_pods_alone(cluster: Cluster) -> None:
    put_slice(cluster, "NoExecute")
    put_user(cluster, "a-while", key="broken", operator="Exists", tolerationSeconds=60)
    await cluster.start("device-taint-eviction-controller")
    await cluster.settle(30)
    put_slice(cluster, generation=2)  # a newer generation replaces the slices of the pool
    await cluster.settle(60)
    assert not is_leaving(cluster, "a-while")
    assert cluster.events("DeviceTaintManagerEviction") == ["Cancelling deletion of Pod default/a-while"]
