"""A CSI driver serves on a node: its volumes are attached, staged, published, grown, and given back.

The driver is a process inside the node; the test itself plays what sidecars do upstream (provisioner, attacher,
resizer).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.csi_driver import MAX_VOLUMES, ZONE
from tests.cluster.objects import pod

pytestmark = pytest.mark.cluster

NAME, NODE, GROUP = "csi.test", "node-1", 1001
FOLDER = "/var/lib/csi-test"
SOURCE = Path(__file__).parents[2]


class Driver:
    """The driver of these stories, and its controller side."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def start(self, *capabilities: str) -> None:
        """Start it inside the node, with an empty memory."""
        self.inside(f"rm -rf {FOLDER}")
        words = " ".join(
            [sys.executable, "-m", "tests.cluster.csi_driver", NAME, NODE, FOLDER, *capabilities]
        )
        self.inside(f"cd {SOURCE} && setsid {words} >/tmp/csi-driver.log 2>&1 </dev/null &")
        until(self.is_registered, what="driver not registered")

    def stop(self) -> None:
        """End it and take its sockets away."""
        self.inside(
            f"kill $(cat {FOLDER}/pid); rm -rf {FOLDER} /var/lib/kubelet/plugins_registry/{NAME}-reg.sock"
        )

    def inside(self, script: str) -> str:
        return self.shell.on_node(NODE, "sh", "-c", script, check=False)

    def is_registered(self) -> bool:
        said = self.inside(f"cat {FOLDER}/registration")
        return bool(said) and json.loads(said) == {"registered": True, "error": ""}

    def forget_registration(self) -> None:
        """So that the next one can be told from the last."""
        self.inside(f"rm {FOLDER}/registration")

    def calls(self, name: str = "") -> list[Any]:
        """What it was asked, in order."""
        lines = [json.loads(line) for line in self.inside(f"cat {FOLDER}/calls").splitlines()]
        return [line for line in lines if not name or line["call"] == name]

    def names(self) -> list[str]:
        """The calls that change something."""
        return [one["call"] for one in self.calls() if "Get" not in one["call"]]

    def refuse(self, call: str, reason: str) -> None:
        """Let it refuse a call from now on; with an empty reason no more."""
        file = f"{FOLDER}/fail.{call}"
        self.inside(f"echo '{reason}' > {file}" if reason else f"rm {file}")

    def provision(self, namespace: str, claim: str, **source: Any) -> None:
        """Make the volume for a claim once a pod needs it."""
        found = until(lambda: self._selected(namespace, claim), what="claim not handed to the provisioner")
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": f"pv-{namespace}-{claim}",
                "annotations": {"pv.kubernetes.io/provisioned-by": NAME},
            },
            "spec": {
                "accessModes": found["spec"]["accessModes"],
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": NAME,
                "claimRef": {"name": claim, "namespace": namespace, "uid": found["metadata"]["uid"]},
                "csi": {"driver": NAME, "volumeHandle": f"{namespace}-{claim}", "fsType": "ext4", **source},
            },
        }
        self.shell.apply(volume)

    def _selected(self, namespace: str, claim: str) -> Any:
        found = self.shell.get("pvc", claim, "-n", namespace)
        notes = found["metadata"].get("annotations") or {}
        chosen = notes.get("volume.kubernetes.io/selected-node") == NODE
        return found if chosen and notes.get("volume.kubernetes.io/storage-provisioner") == NAME else None

    def attachments(self) -> list[Any]:
        found = self.shell.get("volumeattachments")["items"]
        return [one for one in found if one["spec"]["attacher"] == NAME]

    def attach(self) -> Any:
        """Answer the attachment that the controller wishes."""
        (found,) = until(self.attachments, what="no VolumeAttachment")
        status = {"attached": True, "attachmentMetadata": {"device": "/dev/thing"}}
        name = found["metadata"]["name"]
        self.shell.kubectl(
            "patch",
            "volumeattachment",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": status}),
        )
        return found


@pytest.fixture(scope="module")
def process(stories: Shell) -> Iterator[Driver]:
    """A driver that can stage, tell how full volumes are, and let them grow."""
    made = Driver(stories)
    made.start("stage", "stats", "expand")
    yield made
    made.stop()
    until(lambda: NAME not in json.dumps(stories.get("csinode", NODE)["spec"]), what="driver deregistered")


@pytest.fixture
def driver(stories: Shell, process: Driver, namespace: str) -> Iterator[Driver]:
    """The driver, which remembers no call; at the end all is given back."""
    process.inside(f"rm -f {FOLDER}/calls")
    yield process
    process.inside(f"rm -f {FOLDER}/fail.*")
    stories.kubectl("delete", "pods", "--all", "-n", namespace)
    until(
        lambda: not process.inside("find /var/lib/kubelet -name vol_data.json"), what="volumes not given back"
    )
    until(lambda: not process.attachments(), what="volumes not detached")
    stories.kubectl("delete", "pvc", "--all", "-n", namespace, "--no-wait")
    stories.kubectl("delete", "pv", f"pv-{namespace}-data", "--no-wait", check=False)
    stories.kubectl("delete", f"csidriver/{NAME}", f"storageclass/{NAME}", check=False)


def describe(shell: Shell, **spec: Any) -> None:
    """Tell the cluster how the driver wants to be used."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": NAME},
        "provisioner": NAME,
        "allowVolumeExpansion": True,
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    about = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": NAME}, "spec": spec}
    shell.apply(storage_class, about)


def claim(name: str, mode: str = "ReadWriteOnce") -> Any:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [mode],
            "storageClassName": NAME,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def user(name: str, claim_name: str, **context: Any) -> Any:
    """A pod on the driver's node that keeps the claim mounted."""
    made = pod(name, "sleep", "1000", securityContext=context, nodeSelector={"kubernetes.io/hostname": NODE})
    made["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return made


def is_ready(shell: Shell, name: str, namespace: str) -> bool:
    conditions = shell.get("pod", name, "-n", namespace)["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def in_use(shell: Shell) -> list[str]:
    return shell.get("node", NODE)["status"].get("volumesInUse") or []


def test_the_life_of_a_volume(stories: Shell, driver: Driver, namespace: str) -> None:
    (entry,) = stories.get("csinode", NODE)["spec"]["drivers"]
    assert entry == {
        "name": NAME,
        "nodeID": f"id-of-{NODE}",
        "topologyKeys": [ZONE],
        "allocatable": {"count": MAX_VOLUMES},
    }
    assert stories.get("node", NODE)["metadata"]["labels"][ZONE] == f"zone-of-{NODE}"

    describe(stories, podInfoOnMount=True, attachRequired=True)
    stories.apply(claim("data"), user("first", "data", runAsUser=1000, fsGroup=GROUP), namespace=namespace)
    driver.provision(namespace, "data")
    until(lambda: in_use(stories) == [f"kubernetes.io/csi/{NAME}^{namespace}-data"], what="volumesInUse")
    assert not driver.names() and not is_ready(stories, "first", namespace)  # it waits for the attacher
    attachment = driver.attach()
    assert attachment["spec"]["nodeName"] == NODE
    until(lambda: is_ready(stories, "first", namespace), what="first not ready")
    attached = until(lambda: stories.get("node", NODE)["status"].get("volumesAttached"))
    assert attached[0]["name"] == f"kubernetes.io/csi/{NAME}^{namespace}-data"

    staged, published = driver.calls("NodeStageVolume")[0], driver.calls("NodePublishVolume")[0]
    assert staged["publish_context"] == {"device": "/dev/thing"}
    assert staged["volume_capability"]["access_mode"] == {"mode": "SINGLE_NODE_WRITER"}
    assert staged["volume_capability"]["mount"] == {"fs_type": "ext4"}
    assert published["staging_target_path"] == staged["staging_target_path"]
    told = published["volume_context"]
    assert told["csi.storage.k8s.io/pod.name"] == "first" and told["csi.storage.k8s.io/ephemeral"] == "false"
    uid = stories.get("pod", "first", "-n", namespace)["metadata"]["uid"]
    assert published["target_path"].startswith(f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/")

    inside = ("exec", "first", "-n", namespace, "--", "sh", "-c")
    assert stories.kubectl(*inside, "echo kept > /data/file; stat -c '%a %g' /data").split() == [
        "2775",
        str(GROUP),
    ]
    stories.apply(user("second", "data"), namespace=namespace)
    until(lambda: is_ready(stories, "second", namespace), what="second not ready")
    assert stories.kubectl("exec", "second", "-n", namespace, "--", "cat", "/data/file") == "kept\n"
    assert len(driver.calls("NodeStageVolume")) == 1  # both share it

    stories.kubectl("delete", "pod", "first", "-n", namespace)
    until(lambda: driver.names()[-1] == "NodeUnpublishVolume")
    stories.kubectl("delete", "pod", "second", "-n", namespace)
    until(lambda: driver.names()[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"])
    until(lambda: not in_use(stories) and not driver.attachments(), what="not detached")
    assert driver.inside(f"cat {FOLDER}/volumes/{namespace}-data/file") == "kept\n"
    until(
        lambda: not driver.inside(f"ls /var/lib/kubelet/plugins/kubernetes.io/csi/{NAME}"), what="no folder"
    )


def test_a_volume_grows_under_its_pod(stories: Shell, driver: Driver, namespace: str) -> None:
    describe(stories, attachRequired=False)
    stories.apply(claim("data"), user("web", "data"), namespace=namespace)
    driver.provision(namespace, "data")
    until(lambda: is_ready(stories, "web", namespace), what="not ready")
    assert not driver.attachments()

    wish = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    stories.kubectl("patch", "pvc", "data", "-n", namespace, "-p", json.dumps(wish))
    waiting = {"conditions": [{"type": "FileSystemResizePending", "status": "True"}]}
    waiting["allocatedResourceStatuses"] = {"storage": "NodeResizePending"}
    stories.kubectl(
        "patch", "pvc", "data", "-n", namespace, "--subresource=status", "-p", json.dumps({"status": waiting})
    )
    # The resizer's part: the volume is larger now. Last, for with this the kubelet begins.
    larger = {"spec": {"capacity": {"storage": "2Gi"}}}
    stories.kubectl("patch", "pv", f"pv-{namespace}-data", "-p", json.dumps(larger))

    def grown() -> bool:
        status = stories.get("pvc", "data", "-n", namespace)["status"]
        assert status["capacity"]["storage"] == "2Gi", status
        assert not status.get("conditions") and not status.get("allocatedResourceStatuses"), status
        return True

    until(grown)
    (asked,) = driver.calls("NodeExpandVolume")
    assert asked["capacity_range"] == {"required_bytes": str(2 << 30)}
    reason = "FileSystemResizeSuccessful"
    until(lambda: reason in [one["reason"] for one in stories.get("events", "-n", namespace)["items"]])


def test_an_inline_volume(stories: Shell, driver: Driver, namespace: str) -> None:
    describe(
        stories,
        attachRequired=False,
        podInfoOnMount=True,
        volumeLifecycleModes=["Ephemeral"],
        tokenRequests=[{"audience": "vault"}],
    )
    made = user("web", "none")
    source = {"driver": NAME, "volumeAttributes": {"color": "blue"}, "readOnly": True}
    made["spec"]["volumes"] = [{"name": "data", "csi": source}]
    stories.apply(made, namespace=namespace)
    until(lambda: is_ready(stories, "web", namespace), what="not ready")
    assert driver.names() == ["NodePublishVolume"]
    (asked,) = driver.calls("NodePublishVolume")
    told = asked["volume_context"]
    assert told["color"] == "blue" and told["csi.storage.k8s.io/ephemeral"] == "true" and asked["readonly"]
    tokens = json.loads(told["csi.storage.k8s.io/serviceAccount.tokens"])
    assert set(tokens["vault"]) == {"token", "expirationTimestamp"}
    assert asked["volume_id"].startswith("csi-")
    said = stories.kubectl("exec", "web", "-n", namespace, "--", "touch", "/data/x", check=False)
    assert "Read-only file system" in said


def test_a_driver_that_refuses(stories: Shell, driver: Driver, namespace: str) -> None:
    describe(stories, attachRequired=False)
    driver.refuse("NodeStageVolume", "INTERNAL no disk today")
    stories.apply(claim("data"), user("web", "data"), namespace=namespace)
    driver.provision(namespace, "data")
    volume = f"pv-{namespace}-data"
    text = f'MountVolume.MountDevice failed for volume "{volume}" : rpc error: code = Internal desc = no disk today'

    def is_told() -> bool:
        events = stories.get("events", "-n", namespace)["items"]
        return any(one["reason"] == "FailedMount" and one["message"] == text for one in events)

    until(is_told, what=text)
    driver.refuse("NodeStageVolume", "")
    until(lambda: is_ready(stories, "web", namespace), what="not ready")


def test_a_kubelet_that_is_killed_forgets_no_volume(stories: Shell, driver: Driver, namespace: str) -> None:
    describe(stories, attachRequired=False)
    stories.apply(claim("data"), user("web", "data"), namespace=namespace)
    driver.provision(namespace, "data")
    until(lambda: is_ready(stories, "web", namespace), what="not ready")

    driver.refuse("NodeUnpublishVolume", "INTERNAL busy")
    stories.kubectl("delete", "pod", "web", "-n", namespace, "--no-wait")
    until(lambda: "NodeUnpublishVolume" in driver.names())
    driver.forget_registration()
    stories.kill(f"{NODE}/kubelet")
    until(lambda: driver.is_registered() and NAME in json.dumps(stories.get("csinode", NODE)["spec"]))
    driver.refuse("NodeUnpublishVolume", "")
    until(lambda: driver.names()[-1] == "NodeUnstageVolume", what="volume given back")
    until(lambda: "NotFound" in stories.kubectl("get", "pod", "web", "-n", namespace, check=False))
