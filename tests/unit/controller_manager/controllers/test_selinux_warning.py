"""Pods that share a volume under different SELinux labels hear of each other."""

from __future__ import annotations

from typing import Any

import pytest

from controller_manager import metrics
from kubarium.api.core.pod import se_linux
from tests.unit.controller_manager.cluster import Cluster

CONTROLLER = "selinux-warning-controller"
STORAGE = "storage.k8s.io/v1"
END = "If both pods land on the same node, only one of them may access the volume."


def put_driver(cluster: Cluster, mounts_with_label: bool) -> None:
    cluster.api.put(
        {
            "apiVersion": STORAGE,
            "kind": "CSIDriver",
            "metadata": {"name": "d"},
            "spec": {"seLinuxMount": mounts_with_label},
        }
    )


def put_claim(cluster: Cluster, namespace: str = "default", volume: str = "v") -> None:
    metadata = {"name": "data", "namespace": namespace}
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": {"volumeName": volume},
        }
    )
    spec = {
        "csi": {"driver": "d", "volumeHandle": "h"},
        "claimRef": {"name": "data", "namespace": namespace, "uid": "u"},
    }
    cluster.api.put(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec}
    )


def put_pod(cluster: Cluster, name: str, level: str, *, namespace: str = "default", **more: Any) -> None:
    mounts = [{"name": "disk", "mountPath": "/data"}]
    cluster.api.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"},
            "spec": {
                "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}],
                "containers": more.get("containers", [{"name": "main", "volumeMounts": mounts}]),
                "securityContext": {"seLinuxOptions": {"level": level}, **more.get("context", {})},
            },
            "status": {"phase": more.get("phase", "Running")},
        }
    )


def told(cluster: Cluster) -> list[tuple[str, str, str]]:
    return sorted(
        (one["involvedObject"]["name"], one["reason"], one["message"])
        for one in cluster.api.objects("v1", "events")
    )


def conflicts() -> set[tuple[str, ...]]:
    return {labels for labels, _ in metrics.SELINUX_CONFLICTS.read()}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "", False),
        ("", ":::s0:c1,c2", False),
        ("u:r:t:s0:c1,c2", ":::s0:c1,c2", False),
        ("u:r:t:s0:c1,c2", ":::s0:c98,c99", True),
        ("u::t:", ":r::s0", False),
        ("u:::", "v:::", True),
    ],
)
def test_only_what_both_labels_name_can_differ(one: str, other: str, expected: bool) -> None:
    assert se_linux.conflict(one, other) is se_linux.conflict(other, one) is expected


async def test_both_pods_are_told_once_and_the_metric_follows(cluster: Cluster) -> None:
    put_driver(cluster, True)
    put_claim(cluster)
    put_pod(cluster, "a", "s0:c1")
    await cluster.start(CONTROLLER)
    put_pod(cluster, "b", "s0:c2")
    put_pod(cluster, "c", "s0:c1")
    await cluster.settle()
    text = (
        'SELinuxLabel "{}" conflicts with pod {} that uses the same volume as this pod with SELinuxLabel "{}". '
        + END
    )
    one, two = ":::s0:c1", ":::s0:c2"
    assert told(cluster) == [
        ("a", "SELinuxLabelConflict", text.format(one, "b", two)),
        ("b", "SELinuxLabelConflict", text.format(two, "a", one)),
        ("b", "SELinuxLabelConflict", text.format(two, "c", one)),
        ("c", "SELinuxLabelConflict", text.format(one, "b", two)),
    ]
    assert ("SELinuxLabel", "default", "a", one, "default", "b", two) in conflicts()
    put_pod(cluster, "b", "s0:c2", phase="Succeeded")
    await cluster.settle()
    assert conflicts() == set()
    assert len(told(cluster)) == 4


async def test_a_recursive_pod_differs_by_its_policy_alone(cluster: Cluster) -> None:
    put_driver(cluster, True)
    put_claim(cluster)
    put_pod(cluster, "a", "s0:c1")
    put_pod(cluster, "b", "s0:c2", context={"seLinuxChangePolicy": "Recursive"})
    await cluster.start(CONTROLLER)
    assert {reason for _, reason, _ in told(cluster)} == {"SELinuxChangePolicyConflict"}


async def test_what_the_driver_can_do_decides(cluster: Cluster) -> None:
    put_driver(cluster, False)
    put_claim(cluster)
    put_pod(cluster, "a", "s0:c1")
    put_pod(cluster, "b", "s0:c2")
    await cluster.start(CONTROLLER)
    assert told(cluster) == []
    put_driver(cluster, True)
    await cluster.settle()
    assert {name for name, reason, _ in told(cluster) if reason == "SELinuxLabelConflict"} == {"a", "b"}


async def test_another_namespace_is_not_told_of_and_one_pod_may_contradict_itself(cluster: Cluster) -> None:
    put_driver(cluster, True)
    put_claim(cluster)
    put_claim(cluster, "other", "w")
    put_pod(cluster, "a", "s0:c1")
    put_pod(cluster, "secret", "s0:c2", namespace="other")
    mounts = [{"name": "disk", "mountPath": "/data"}]
    torn = [
        {"name": "one", "volumeMounts": mounts},
        {"name": "two", "volumeMounts": mounts, "securityContext": {"seLinuxOptions": {"level": "s0:c9"}}},
    ]
    put_pod(cluster, "torn", "s0:c1", containers=torn)
    privileged = {"name": "three", "volumeMounts": mounts, "securityContext": {"privileged": True}}
    put_pod(cluster, "free", "s0:c7", containers=[privileged])
    await cluster.start(CONTROLLER)
    said = told(cluster)
    warning = 'Volume "disk" is mounted twice with different SELinux labels inside this pod'
    assert ("torn", "MultipleSELinuxLabels", warning) in said
    about_a = [text for name, reason, text in said if (name, reason) == ("a", "SELinuxLabelConflict")]
    assert about_a == [
        'SELinuxLabel":::s0:c1" conflicts with another pod that uses the same volume as this pod with a different '
        f"SELinuxLabel. {END}"
    ]
    assert not any(name == "free" and reason == "SELinuxLabelConflict" for name, reason, _ in said)
