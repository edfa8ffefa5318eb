"""A volume and a pod -> what is said to a driver. Pure functions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of

POD_NAME = "csi.storage.k8s.io/pod.name"
POD_NAMESPACE = "csi.storage.k8s.io/pod.namespace"
POD_UID = "csi.storage.k8s.io/pod.uid"
SERVICE_ACCOUNT = "csi.storage.k8s.io/serviceAccount.name"
EPHEMERAL = "csi.storage.k8s.io/ephemeral"
TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"

MODES = {
    "ReadWriteOnce": "SINGLE_NODE_WRITER",
    "ReadOnlyMany": "MULTI_NODE_READER_ONLY",
    "ReadWriteMany": "MULTI_NODE_MULTI_WRITER",
    "ReadWriteOncePod": "SINGLE_NODE_WRITER",
}
# For drivers that tell a node with several writers from a node with one.
EXACT_MODES = {
    **MODES,
    "ReadWriteOnce": "SINGLE_NODE_MULTI_WRITER",
    "ReadWriteOncePod": "SINGLE_NODE_SINGLE_WRITER",
}


def is_inline(volume: Object) -> bool:
    """Does the volume live and die with its pod?"""
    return volume.get("persistentVolume") is None


def is_block(volume: Object) -> bool:
    """Does the pod want the device itself?"""
    return spec_of(volume.get("persistentVolume") or {}).get("volumeMode") == "Block"


def handle_of(pod: Object, volume: Object) -> str:
    """The driver's name for the volume; an inline volume gets one of the kubelet's making."""
    if not is_inline(volume):
        return str(volume["csi"]["volumeHandle"])
    return "csi-" + hashlib.sha256(f"{uid_of(pod)}{volume['name']}".encode()).hexdigest()


def attachment_name(handle: str, driver: str, node: str) -> str:
    """The VolumeAttachment of a volume on a node: who makes it and who waits for it must agree."""
    return "csi-" + hashlib.sha256(f"{handle}{driver}{node}".encode()).hexdigest()


def unique_name(driver: str, handle: str) -> str:
    """How the node's status names a volume that is in use."""
    return f"kubernetes.io/csi/{driver}^{handle}"


def access_modes(volume: Object) -> list[str]:
    """What the volume can be used for; an inline volume has one user."""
    found = spec_of(volume.get("persistentVolume") or {}).get("accessModes")
    return list(found or ["ReadWriteOnce"])


def capability(volume: Object, *, exact: bool, mount_group: str = "") -> dict[str, Any]:
    """The `VolumeCapability`: as what and for whom the volume is used."""
    modes = EXACT_MODES if exact else MODES
    found: dict[str, Any] = {"access_mode": {"mode": modes[access_modes(volume)[0]]}}
    if is_block(volume):
        return found | {"block": {}}
    mount = {
        "fs_type": volume["csi"].get("fsType") or "",
        "mount_flags": list(volume.get("mountOptions") or []),
        "volume_mount_group": mount_group,
    }
    return found | {"mount": mount}


def pod_info(pod: Object, volume: Object) -> dict[str, str]:
    """For drivers with `podInfoOnMount`: for whom the volume is."""
    return {
        POD_NAME: name_of(pod),
        POD_NAMESPACE: namespace_of(pod),
        POD_UID: uid_of(pod),
        SERVICE_ACCOUNT: spec_of(pod).get("serviceAccountName") or "",
        EPHEMERAL: "true" if is_inline(volume) else "false",
    }


def secret_data(secret: Object) -> dict[str, str]:
    """What a driver is told of a secret."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def may_give_to_group(policy: str, volume: Object) -> bool:
    """Does the kubelet change the owner of the files to the pod's fsGroup?

    Source: https://kubernetes-csi.github.io/docs/support-fsgroup.html
    """
    if policy == "None" or volume.get("readOnly") or is_block(volume):
        return False
    if policy == "File":
        return True
    if not volume["csi"].get("fsType"):
        return False
    modes: Sequence[str] = access_modes(volume)
    return "ReadWriteOnce" in modes or "ReadWriteOncePod" in modes
