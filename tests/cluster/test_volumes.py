"""A pod finds its files: with the right modes and owners, kept up to date; what it writes to a claim outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, pod

pytestmark = pytest.mark.cluster

USER, GROUP = 1000, 1001
LOOK = """
stat -c '%n %F %a %u %g' /empty /memory /half
grep -q ' /memory tmpfs ' /proc/mounts && echo memory is tmpfs
cd /files && stat -L -c '%n %a %g' page/a secret/b pod/name token
echo $(cat page/a secret/b pod/name) $(cat /alone)
echo written > /empty/below/here && cat /below/here
ls /image/bin/busybox /tools/busybox
touch page/x /image/x 2>&1 || true
"""
SEEN = f"""
/empty directory 2777 0 {GROUP}
/memory directory 3777 0 {GROUP}
/half directory 3777 0 {GROUP}
memory is tmpfs
page/a 440 {GROUP}
secret/b 644 {GROUP}
pod/name 644 {GROUP}
token 640 {GROUP}
1 2 all 1 written
/image/bin/busybox /tools/busybox
touch: page/x: Read-only file system
touch: /image/x: Read-only file system
"""


def test_volumes_of_all_kinds(stories: Shell, namespace: str) -> None:
    stories.kubectl("create", "configmap", "page", "--from-literal=a=1 ", "-n", namespace)
    stories.kubectl("create", "secret", "generic", "hidden", "--from-literal=b=2 ", "-n", namespace)
    stories.apply(pod_with_all(), namespace=namespace)
    stories.kubectl("wait", "pod/all", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    inside = ("exec", "all", "-n", namespace, "--", "sh", "-c")
    assert stories.kubectl(*inside, LOOK).split() == SEEN.split()

    stories.kubectl("label", "pod", "all", "color=blue", "-n", namespace)
    until(lambda: 'color="blue"' in stories.kubectl(*inside, "cat /files/pod/labels"))


def pod_with_all() -> Any:
    """A pod of a common user with every kind of volume that needs no claim."""
    name = {"path": "pod/name", "fieldRef": {"fieldPath": "metadata.name"}}
    labels = {"path": "pod/labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [
        {"configMap": {"name": "page", "items": [{"key": "a", "path": "page/a", "mode": 0o440}]}},
        {"secret": {"name": "hidden", "items": [{"key": "b", "path": "secret/b"}]}},
        {"secret": {"name": "missing", "optional": True}},
        {"downwardAPI": {"items": [name, labels]}},
        {"serviceAccountToken": {"path": "token"}},
    ]
    made = pod("all", "sleep", "1000", securityContext={"runAsUser": USER, "fsGroup": GROUP})
    made["spec"]["volumes"] = [
        {"name": "empty", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "files", "projected": {"sources": sources}},
        {"name": "page", "configMap": {"name": "page"}},
        {"name": "image", "image": {"reference": BUSYBOX, "pullPolicy": "IfNotPresent"}},
    ]
    made["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "empty", "mountPath": "/empty"},
        {"name": "empty", "mountPath": "/below", "subPath": "below"},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "memory", "mountPath": "/half", "subPath": "half"},
        {"name": "files", "mountPath": "/files"},
        {"name": "page", "mountPath": "/alone", "subPath": "a"},
        {"name": "image", "mountPath": "/image"},
        {"name": "image", "mountPath": "/tools", "subPath": "bin"},
    ]
    return made


def test_a_claim_of_the_default_class(stories: Shell, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    stories.apply(claim, user("first", "echo kept > /data/file"), namespace=namespace)
    until(lambda: stories.get("pod", "first", "-n", namespace)["status"]["phase"] == "Succeeded")
    stories.apply(user("second", "cat /data/file"), namespace=namespace)
    until(lambda: stories.get("pod", "second", "-n", namespace)["status"]["phase"] == "Succeeded")
    until(lambda: stories.kubectl("logs", "second", "-n", namespace) == "kept\n", what="what it read")

    bound = stories.get("pvc", "data", "-n", namespace)
    volume = stories.get("pv", bound["spec"]["volumeName"])
    folder = volume["spec"]["hostPath"]["path"]
    node = stories.get("pod", "second", "-n", namespace)["spec"]["nodeName"]
    assert stories.on_node(node, "cat", f"{folder}/file") == "kept\n"

    stories.kubectl("delete", "pods", "first", "second", "-n", namespace)  # ended pods hold their claims, too
    stories.kubectl("delete", "pvc", "data", "--no-wait", "-n", namespace)
    until(lambda: "NotFound" in stories.kubectl("get", "pv", volume["metadata"]["name"], check=False))
    until(
        lambda: "No such file" in stories.on_node(node, "sh", "-c", f"ls {folder} 2>&1", check=False),
        what="its folder removed",
    )


def user(name: str, script: str) -> Any:
    """A pod of a common user that works on the claim."""
    made = pod(name, "sh", "-c", script, restartPolicy="Never", securityContext={"runAsUser": USER})
    made["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return made


@pytest.fixture
def device(stories: Shell) -> Iterator[str]:
    """A disk of node-1 that holds nothing yet."""
    made = stories.on_node(
        "node-1", "sh", "-c", "truncate -s 32M /var/disk && losetup -f --show /var/disk"
    ).strip()
    yield made
    stories.on_node("node-1", "sh", "-c", f"losetup -d {made}; rm /var/disk", check=False)


def test_a_local_device_as_a_file_system_and_as_itself(stories: Shell, namespace: str, device: str) -> None:
    for mode, use in (("Filesystem", "volumeMounts"), ("Block", "volumeDevices")):
        name = f"{namespace}-{mode.lower()}"
        place = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
        common = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeMode": mode}
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": "32Mi"},
                "local": {"path": device},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}},
            },
        }
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "disk"},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Mi"}}},
        }
        script = {
            "Filesystem": "grep -q ' /disk ext4 ' /proc/mounts && echo kept > /disk/file",
            "Block": "dd if=/disk bs=1024 count=2 | tail -c 968 | od -An -tx1 | grep -q '53 ef'",  # ext4's mark
        }
        made = pod("user", "sh", "-c", script[mode], restartPolicy="Never")
        made["spec"]["volumes"] = [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]
        where = {"mountPath": "/disk"} if mode == "Filesystem" else {"devicePath": "/disk"}
        made["spec"]["containers"][0][use] = [{"name": "disk", **where}]
        stories.apply(volume, claim, made, namespace=namespace)
        until(
            lambda: stories.get("pod", "user", "-n", namespace)["status"]["phase"] == "Succeeded", what=mode
        )
        stories.kubectl("delete", "pod/user", "pvc/disk", "-n", namespace)
        stories.kubectl("delete", "pv", name)
    until(lambda: device not in stories.on_node("node-1", "cat", "/proc/mounts"), what="device still mounted")
