"""What a claim becomes. Pure."""

from __future__ import annotations

from kubarium.api.core.volume_binding import OLD_PROVISIONER, PROVISIONED_BY, PROVISIONER, SELECTED_NODE
from kubarium.apimachinery.object import (
    Object,
    annotations_of,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)

HOSTNAME = "kubernetes.io/hostname"


def is_ours(claim: Object, provisioner: str) -> bool:
    """Does an unbound claim wait for us?"""
    asked = annotations_of(claim)
    return not spec_of(claim).get("volumeName") and provisioner in (
        asked.get(PROVISIONER),
        asked.get(OLD_PROVISIONER),
    )


def selected_node(claim: Object) -> str:
    """The node that the scheduler chose for the claim's first consumer."""
    return annotations_of(claim).get(SELECTED_NODE, "")


def volume_name(claim: Object) -> str:
    """Always the same for the same claim: making it twice makes one."""
    return f"pvc-{uid_of(claim)}"


def folder_of(claim: Object, root: str) -> str:
    """Where its data lie on the node."""
    return f"{root.rstrip('/')}/{volume_name(claim)}_{namespace_of(claim)}_{name_of(claim)}"


def volume_for(claim: Object, storage_class: Object, node: str, provisioner: str, root: str) -> Object:
    """The PersistentVolume: a folder that the kubelet makes when it is first mounted."""
    spec = spec_of(claim)
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: provisioner}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": name_of(storage_class),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "hostPath": {"path": folder_of(claim, root), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace_of(claim),
                "name": name_of(claim),
                "uid": uid_of(claim),
                "resourceVersion": claim["metadata"]["resourceVersion"],
            },
        },
    }


def is_to_be_removed(volume: Object, provisioner: str) -> bool:
    """Has a volume of ours lost its claim, and is its data to go with it?"""
    return (
        annotations_of(volume).get(PROVISIONED_BY) == provisioner
        and not is_deleting(volume)
        and (volume.get("status") or {}).get("phase") == "Released"
        and spec_of(volume).get("persistentVolumeReclaimPolicy") == "Delete"
    )


def node_of(volume: Object) -> str:
    """The node on which a volume lies."""
    terms = ((spec_of(volume).get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []
    for term in terms:
        for expression in term.get("matchExpressions") or []:
            if expression.get("key") == HOSTNAME:
                return str(expression["values"][0])
    return ""


def refusal(claim: Object) -> str:
    """Why a folder of one node cannot be what the claim asks for; nothing if it can."""
    spec = spec_of(claim)
    if spec.get("selector"):
        return "claim.Spec.Selector is not supported"
    if spec.get("volumeMode") == "Block":
        return "Block volumes are not supported"
    if not set(spec.get("accessModes") or []) <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        return "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
    return ""


def creation_pod(volume: Object, namespace: str, image: str) -> Object:
    """A pod on the volume's node that makes its folder, for users of every number."""
    return _helper_pod("create", ["mkdir", "-m", "0777", "-p"], volume, namespace, image)


def removal_pod(volume: Object, namespace: str, image: str) -> Object:
    """A pod on the volume's node that removes its folder."""
    return _helper_pod("delete", ["rm", "-rf"], volume, namespace, image)


def _helper_pod(task: str, command: list[str], volume: Object, namespace: str, image: str) -> Object:
    path = spec_of(volume)["hostPath"]["path"]
    parent, _, folder = path.rpartition("/")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"helper-pod-{task}-{name_of(volume)}"[:63].rstrip("-"), "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "nodeName": node_of(volume),
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "helper-pod",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": [*command, f"/volumes/{folder}"],
                    "volumeMounts": [{"name": "volumes", "mountPath": "/volumes"}],
                }
            ],
            "volumes": [{"name": "volumes", "hostPath": {"path": parent, "type": "DirectoryOrCreate"}}],
        },
    }
