"""The defaults that the published schemas of built-in kinds name.

A field that JSON always has is published with its zero; a few others are marked in upstream's sources. Decoding
fills in none of them (each noun knows its own defaults); clients read them, and lists are matched by keys that have
them.
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.protobuf.table import zeros_published

_RBD = {"keyring": "/etc/ceph/keyring", "pool": "rbd", "user": "admin"}
_SCALE_IO = {"fsType": "xfs", "storageMode": "ThinProvisioned"}
_AZURE_DISK = {"cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": False}
_MARKED: dict[str, dict[str, Any]] = {
    "autoscaling.v1.ScaleSpec": {"replicas": 0},
    "certificates.v1beta1.PodCertificateRequestSpec": {"maxExpirationSeconds": 86400},
    "core.v1.AzureDiskVolumeSource": _AZURE_DISK,
    "core.v1.ConfigMapEnvSource": {"name": ""},
    "core.v1.ConfigMapKeySelector": {"name": ""},
    "core.v1.ConfigMapProjection": {"name": ""},
    "core.v1.ConfigMapVolumeSource": {"name": ""},
    "core.v1.ContainerPort": {"protocol": "TCP"},
    "core.v1.FileKeySelector": {"optional": False},
    "core.v1.GRPCAction": {"service": ""},
    "core.v1.ISCSIPersistentVolumeSource": {"iscsiInterface": "default"},
    "core.v1.ISCSIVolumeSource": {"iscsiInterface": "default"},
    "core.v1.LocalObjectReference": {"name": ""},
    "core.v1.RBDPersistentVolumeSource": _RBD,
    "core.v1.RBDVolumeSource": _RBD,
    "core.v1.ReplicationControllerSpec": {"minReadySeconds": 0, "replicas": 1},
    "core.v1.ScaleIOPersistentVolumeSource": _SCALE_IO,
    "core.v1.ScaleIOVolumeSource": _SCALE_IO,
    "core.v1.SecretEnvSource": {"name": ""},
    "core.v1.SecretKeySelector": {"name": ""},
    "core.v1.SecretProjection": {"name": ""},
    "core.v1.ServicePort": {"protocol": "TCP"},
    "resource.v1.DeviceToleration": {"operator": "Equal"},
    "resource.v1beta1.DeviceToleration": {"operator": "Equal"},
    "resource.v1beta2.DeviceToleration": {"operator": "Equal"},
    "resource.v1alpha3.ResourcePoolStatusRequestSpec": {"limit": 100},
    "scheduling.v1alpha2.PodGroupSpec": {"disruptionMode": "Pod"},
}
"""What is marked with `+default`, by the definition's name without `io.k8s.api.`."""


def of(definition: str) -> dict[str, Any]:
    """Names of fields and their defaults: `io.k8s.api.core.v1.ServicePort` -> {"port": 0, "protocol": "TCP"}."""
    return {**zeros_published(definition), **_MARKED.get(definition.removeprefix("io.k8s.api."), {})}
