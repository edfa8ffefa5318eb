"""What the Node object says: addresses, capacity, conditions, images, system info."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubarium.api.core.pod import resources
from kubarium.apimachinery import conditions, quantity, time
from kubarium.apimachinery.object import Object, status_of
from kubelet import reservations
from kubelet.node import machine
from kubelet.node.machine import Machine
from kubelet.runtime.interface import Image, RuntimeInfo

VERSION = "v1.36.0"
MAX_NAMES = 5
DECLARED_FEATURES = (
    "GuaranteedQoSPodCPUResize",
    "InPlacePodLevelResourcesVerticalScaling",
    "RestartAllContainersOnContainerExits",
)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What this kubelet was told or found out about its node."""

    name: str
    ips: Sequence[str]
    hostname: str
    machine: Machine
    root: str
    max_pods: int
    port: int
    reserved: dict[str, str]  # system and kube reservations together
    eviction_hard: dict[str, str]
    manages_storage: bool = True  # is local ephemeral storage something that pods are given?


@dataclass(frozen=True, slots=True)
class Health:
    """What decides about readiness. Empty texts mean that all is well."""

    runtime: str = ""
    network: str = ""
    pleg: str = ""
    shutdown: str = ""

    def complaints(self) -> list[str]:
        """All that is wrong."""
        return [text for text in (self.runtime, self.network, self.pleg, self.shutdown) if text]


def addresses(facts: NodeFacts) -> list[Object]:
    """Where the node is reached."""
    return [
        *({"type": "InternalIP", "address": ip} for ip in facts.ips),
        {"type": "Hostname", "address": facts.hostname},
    ]


def capacity(facts: NodeFacts) -> Object:
    """What there is."""
    disk, _, _, _ = machine.disk(facts.root)
    return {
        "cpu": str(facts.machine.cpus),
        "memory": f"{facts.machine.memory // 1024}Ki",
        **({"ephemeral-storage": f"{disk // 1024}Ki"} if facts.manages_storage else {}),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": str(facts.max_pods),
    }


def allocatable(facts: NodeFacts, whole: Object) -> Object:
    """What pods may have: capacity without reservations and eviction thresholds."""
    found, capacity = dict(whole), resources.amounts(whole)
    for resource, amount in reservations.taken(facts.reserved, facts.eviction_hard, capacity).items():
        if resource in capacity:
            left = max(0, capacity[resource] - amount)
            found[resource] = (
                quantity.of_milli(left) if resource == "cpu" else quantity.of_value(left, "BinarySI")
            )
    return found


def extended_of(node: Object) -> Object:
    """The capacity of resources that others count on this node: the kubelet keeps it, and lets pods have all of it."""
    capacity: Object = status_of(node).get("capacity") or {}
    return {name: amount for name, amount in capacity.items() if resources.is_extended(name)}


def node_info(facts: NodeFacts, runtime: RuntimeInfo) -> Object:
    """Versions and identities."""
    return {
        "machineID": facts.machine.machine_id,
        "systemUUID": facts.machine.system_uuid,
        "bootID": facts.machine.boot_id,
        "kernelVersion": facts.machine.kernel,
        "osImage": facts.machine.os_image,
        "containerRuntimeVersion": f"{runtime.name}://{runtime.version}",
        "kubeletVersion": VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": facts.machine.architecture,
        **({"swap": {"capacity": facts.machine.swap}} if facts.machine.swap else {}),
    }


def handlers(runtime: RuntimeInfo) -> list[Object]:
    """What each of the runtime's handlers can do."""
    return [
        {
            **({"name": one.name} if one.name else {}),
            "features": {
                "recursiveReadOnlyMounts": one.recursive_read_only_mounts,
                "userNamespaces": one.user_namespaces,
            },
        }
        for one in sorted(runtime.handlers, key=lambda one: one.name)
    ]


def declared_features() -> list[str]:
    """Features whose pods the scheduler must not send to older kubelets (NodeDeclaredFeatures)."""
    return list(DECLARED_FEATURES)


def images(found: Sequence[Image], most: int = 50) -> list[Object]:
    """The largest images with their names, digests first; -1 is all of them."""
    largest = sorted(found, key=lambda image: image.size, reverse=True)
    if most >= 0:
        largest = largest[:most]
    return [
        {"names": [*image.digests, *image.tags][:MAX_NAMES], "sizeBytes": image.size}
        for image in largest
        if image.digests or image.tags
    ]


def update_conditions(
    present: list[Object], facts: NodeFacts, health: Health, pressure: dict[str, bool], now: datetime
) -> None:
    """Renew the kubelet's conditions in place."""
    for type, texts in PRESSURES.items():
        is_under = pressure.get(type, False)
        reason, message = texts[1] if is_under else texts[0]
        _set(present, type, is_under, reason, message, now)
    complaints = health.complaints()
    if complaints:
        _set(present, "Ready", False, "KubeletNotReady", _listed(complaints), now)
    else:
        _set(present, "Ready", True, "KubeletReady", "kubelet is posting ready status", now)


PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}


def _listed(complaints: list[str]) -> str:
    return complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"


def _set(present: list[Object], type: str, is_true: bool, reason: str, message: str, now: datetime) -> None:
    heartbeat = time.format_time(now)
    new: Object = {
        "type": type,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": message,
    }
    conditions.set_condition(present, {**new, "lastHeartbeatTime": heartbeat}, now)


def find_ips(given: str, api_host: str) -> list[str]:
    """The node's addresses: as given, else the one from which the API server is reached."""
    if given:
        return given.split(",")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((api_host or "192.0.2.1", 9))
            return [probe.getsockname()[0]]
        except OSError:
            return ["127.0.0.1"]
