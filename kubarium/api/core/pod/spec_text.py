"""A pod's spec as upstream's error messages show it: Go's names, every field, those of the internal type in its order.

Typed servers print the structs that they compare. The fields and what they hold are known from the table of protobuf
messages; this file says where the internal type, which no client ever sees, differs from the published one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.table import TYPES, Field, fields_of

_CONTAINER = (
    "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy restartPolicyRules "
    "volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath "
    "terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty"
)
_HOST_FIELDS = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"]
"""Fields of the spec that the internal type keeps in the security context."""
_ORDER = {
    "core.Container": _CONTAINER,
    "core.EphemeralContainerCommon": _CONTAINER,
    "core.PodSpec": (
        "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds "
        "activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName automountServiceAccountToken nodeName "
        "securityContext imagePullSecrets hostname subdomain setHostnameAsFQDN affinity schedulerName tolerations "
        "hostAliases priorityClassName priority preemptionPolicy dnsConfig readinessGates runtimeClassName overhead "
        "enableServiceLinks topologySpreadConstraints os schedulingGates resourceClaims resources hostnameOverride "
        "schedulingGroup"
    ),
    "core.PodSecurityContext": (
        "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy "
        "fsGroup fsGroupChangePolicy sysctls seccompProfile appArmorProfile seLinuxChangePolicy"
    ),
    "core.SecurityContext": (
        "capabilities privileged seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot "
        "readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile appArmorProfile"
    ),
    "core.VolumeSource": (
        "hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs "
        "persistentVolumeClaim rbd quobyte flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap "
        "vsphereVolume azureDisk photonPersistentDisk projected portworxVolume scaleIO storageos csi ephemeral image"
    ),
}  # fmt: skip
_POINTERS = frozenset({
    "apiGroup", "cachingMode", "fsGroupChangePolicy", "gmsaCredentialSpec", "gmsaCredentialSpecName",
    "hostnameOverride", "localhostProfile", "mountPropagation", "preemptionPolicy", "procMount",
    "recursiveReadOnly", "runAsUserName", "runtimeClassName", "seLinuxChangePolicy", "stopSignal",
    "supplementalGroupsPolicy", "volumeMode",
})  # fmt: skip
"""Texts that may be null; elsewhere a text that is not there is empty."""
_STRUCTS = frozenset({("core.Container", "resources"), ("core.EphemeralContainerCommon", "resources")})
_NAMES = {
    "awsElasticBlockStore": "AWSElasticBlockStore", "apiGroup": "APIGroup", "apiVersion": "APIVersion",
    "cephfs": "CephFS", "csi": "CSI", "dnsConfig": "DNSConfig", "dnsPolicy": "DNSPolicy", "fc": "FC",
    "fsGroup": "FSGroup", "fsGroupChangePolicy": "FSGroupChangePolicy", "fsType": "FSType",
    "gcePersistentDisk": "GCEPersistentDisk", "grpc": "GRPC", "httpGet": "HTTPGet", "httpHeaders": "HTTPHeaders",
    "ip": "IP", "iqn": "IQN", "iscsi": "ISCSI", "nfs": "NFS", "os": "OS", "pdName": "PDName", "rbd": "RBD",
    "seLinuxChangePolicy": "SELinuxChangePolicy", "seLinuxOptions": "SELinuxOptions", "storageos": "StorageOS",
    "tcpSocket": "TCPSocket", "tty": "TTY", "wwids": "WWIDs",
}  # fmt: skip


def difference(before: Object, after: Object) -> str:
    """Two specs as a unified diff of their lines; the headers are left out."""
    old, new = (_text(_shown(spec, "core.PodSpec")).split("\n") for spec in (before, after))
    lines = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    return "".join(f"{line}\n" for line in lines)


def shown(value: Any, message: str) -> Any:
    """A value of one message, or a list of them, with the names and the fields of Go."""
    return [_shown(one, message) for one in value] if isinstance(value, list) else _shown(value, message)


def _text(value: Any) -> str:
    """JSON as Go writes it for people."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _shown(obj: Object, message: str) -> Object:
    found: Object = {}
    if message == "core.PodSpec":
        moved = {name: obj[name] for name in _HOST_FIELDS if name in obj}
        obj = {**obj, "securityContext": {**(obj.get("securityContext") or {}), **moved}}
    if message == "core.PodSecurityContext":
        found |= {_name(name): obj.get(name, None if _may_be_null(name) else False) for name in _HOST_FIELDS}
    for field in _in_order(message):
        if field.shape == "^":
            found |= _shown(obj, field.kind)
        else:
            found[_name(field.name)] = _value(obj.get(field.name), field, message)
    return found


def _may_be_null(host_field: str) -> bool:
    return host_field in ("shareProcessNamespace", "hostUsers")


def _in_order(message: str) -> Iterator[Field]:
    fields = {field.name: field for field in fields_of(message)}
    names = _ORDER[message].split() if message in _ORDER else list(fields)
    return (fields[name] for name in names if name in fields)


def _value(value: Any, field: Field, message: str) -> Any:
    is_message = field.kind not in TYPES
    if value is None:
        if (message, field.name) in _STRUCTS:
            return _shown({}, field.kind)
        return None if field.shape or field.name in _POINTERS else _ZEROS.get(field.kind)
    if field.shape == "*":
        return [_shown(one, field.kind) if is_message else one for one in value]
    if field.shape == "%":
        return {key: value[key] for key in sorted(value)}
    return _shown(value, field.kind) if is_message else value


_ZEROS = {"s": "", "i": 0, "b": False}


def _name(name: str) -> str:
    return _NAMES.get(name) or name[:1].upper() + name[1:]
