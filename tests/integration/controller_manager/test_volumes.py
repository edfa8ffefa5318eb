"""Stories about claims: bound, protected, made for a pod."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from tests.integration.controller_manager.world import World


async def test_a_claim_binds_and_stays_while_it_is_used(world: World) -> None:
    volumes = world.resource("v1", "persistentvolumes")
    name = f"{world.namespace}-volume"
    await volumes.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "2Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": world.namespace,
                "hostPath": {"path": "/tmp"},
                "persistentVolumeReclaimPolicy": "Retain",
            },
        }
    )
    await world.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {
                "storageClassName": world.namespace,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )

    async def bound() -> bool:
        claim, volume = await world.get("v1", "persistentvolumeclaims", "data"), await volumes.get(name)
        return claim["status"].get("phase") == volume["status"].get("phase") == "Bound"

    await world.until(bound)
    claim = await world.get("v1", "persistentvolumeclaims", "data")
    assert claim["spec"]["volumeName"] == name and claim["status"]["capacity"] == {"storage": "2Gi"}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user"},
        "spec": {
            "nodeName": "nowhere",
            "containers": [{"name": "c", "image": "x"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    await world.create(pod)
    await world.resource("v1", "persistentvolumeclaims").delete("data", world.namespace)
    claim = await world.get("v1", "persistentvolumeclaims", "data")
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    await world.resource("v1", "pods").delete("user", world.namespace, grace_period_seconds=0)

    async def released() -> bool:
        return (await volumes.get(name))["status"].get("phase") == "Released"

    await world.until(released)
    assert not await world.list("v1", "persistentvolumeclaims")
    await volumes.delete(name)


async def test_a_pod_gets_the_claims_it_asks_for(world: World) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "image": "x"}],
            "volumes": [
                {
                    "name": "scratch",
                    "ephemeral": {
                        "volumeClaimTemplate": {
                            "metadata": {"labels": {"kind": "scratch"}},
                            "spec": {
                                "accessModes": ["ReadWriteOnce"],
                                "resources": {"requests": {"storage": "1Gi"}},
                            },
                        }
                    },
                }
            ],
        },
    }
    created = await world.create(pod)

    async def claimed() -> bool:
        claim = await world.get("v1", "persistentvolumeclaims", "p-scratch")
        return bool(claim["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"])

    await world.until(claimed)
    await world.resource("v1", "pods").delete("p", world.namespace, grace_period_seconds=0)

    async def gone() -> bool:
        return not await world.list("v1", "persistentvolumeclaims")

    await world.until(gone)
