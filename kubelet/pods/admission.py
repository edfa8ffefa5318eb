"""Can this pod run here? The same rules that the scheduler uses, asked once more at the node's door.

A pod may come past the scheduler (`spec.nodeName` set by hand), or the node may have changed meanwhile. What is refused
becomes Failed, with upstream's reason, so that its owner makes another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.api.core.pod import affinity, resources
from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery.object import Object, labels_of, spec_of, status_of
from kubelet.resources import ranking

Port = tuple[str, str, int]

OS = "linux"

# Settings that are the pod's own and cannot hurt its neighbours.
SAFE_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    )
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not. If room is all that is missing: how much of what."""

    reason: str
    message: str
    missing: Mapping[str, int] = field(default_factory=dict)


def refuse(
    pod: Object, others: Iterable[Object], node: Object, allowed_sysctls: Sequence[str] = ()
) -> Refusal | None:
    """None when the pod may run beside the others.

    A pod that has no room is told so first; a critical one, for which others would make room, is told the rest.
    """
    others = list(others)
    if labels_of(pod).get("kubernetes.io/os", OS) != OS:
        return Refusal(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        )
    if (spec_of(pod).get("os") or {}).get("name", OS) != OS:
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    refusal = _refuse_security(pod, node)
    if refusal is not None:
        return refusal
    sysctl = forbidden_sysctl(pod, allowed_sysctls)
    if sysctl is not None:
        return Refusal("SysctlForbidden", f'forbidden sysctl: "{sysctl}" not allowlisted')
    room, place = _refuse_resources(pod, others, node), _refuse_place(pod, others, node)
    if room is not None and not (place and ranking.is_critical(pod)):
        return room
    return place


def _refuse_place(pod: Object, others: Iterable[Object], node: Object) -> Refusal | None:
    """What no other pod could make better by going, except for ports."""
    if not affinity.node_selector_accepts(pod, node):
        return Refusal(
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    taken = {port for other in others for port in host_ports(other)}
    if any(conflicts(port, other) for port in host_ports(pod) for other in taken):
        return Refusal(
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        )
    taint = affinity.untolerated_taint(
        spec_of(node).get("taints") or [], affinity.tolerations_of(pod), effects=("NoExecute",)
    )
    if taint is not None and not is_static(pod):
        return Refusal("TaintToleration", "Predicate TaintToleration failed")
    return None


def _refuse_security(pod: Object, node: Object) -> Refusal | None:
    """What the kernel or the runtime would have to enforce and cannot."""
    context = spec_of(pod).get("securityContext") or {}
    features = status_of(node).get("features") or {}
    strict = context.get("supplementalGroupsPolicy") == "Strict"
    if strict and not features.get("supplementalGroupsPolicy"):
        return Refusal(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        )
    contexts = [context, *((one.get("securityContext") or {}) for one in pod_containers.all_containers(pod))]
    profiles = {(one.get("appArmorProfile") or {}).get("type", "Unconfined") for one in contexts}
    if profiles != {"Unconfined"} and not has_apparmor():
        return Refusal("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    return None


def has_apparmor() -> bool:
    """Does this kernel enforce AppArmor profiles?"""
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().startswith("Y")
    except OSError:
        return False


def _refuse_resources(pod: Object, others: list[Object], node: Object) -> Refusal | None:
    allocatable = resources.amounts(status_of(node).get("allocatable"))
    if not allocatable:
        return None
    used: resources.Amounts = {"pods": len(others)}
    for other in others:
        for resource, amount in resources.requests_of(other).items():
            used[resource] = used.get(resource, 0) + amount
    first, missing = None, {}
    for resource, wanted in {"pods": 1, **resources.requests_of(pod)}.items():
        if resource not in allocatable and resources.is_extended(resource):
            continue  # the scheduler knows better: ours may be an old state of the node
        whole, taken = allocatable.get(resource, 110 if resource == "pods" else 0), used.get(resource, 0)
        if wanted > whole - taken and wanted > 0:
            missing[resource] = wanted - (whole - taken)
            first = first or Refusal(
                f"OutOf{resource}",
                f"Node didn't have enough resource: {resource}, requested: {wanted}, used: {taken}, "
                f"capacity: {whole}",
                missing,
            )
    return first


def forbidden_sysctl(pod: Object, allowed: Sequence[str]) -> str | None:
    """The first kernel setting that is neither safe nor allowed on this node."""
    for setting in (spec_of(pod).get("securityContext") or {}).get("sysctls") or []:
        name = setting["name"].replace("/", ".")
        by_node = any(name == rule or (rule.endswith("*") and name.startswith(rule[:-1])) for rule in allowed)
        if name not in SAFE_SYSCTLS and not by_node:
            return str(setting["name"])
    return None


def host_ports(pod: Object) -> list[Port]:
    """Address, protocol and number of every port of the node that the pod takes."""
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]
        for port in container.get("ports") or []
        if port.get("hostPort")
    ]


def conflicts(one: Port, other: Port) -> bool:
    """Same port and protocol on the same address; 0.0.0.0 is every address."""
    everywhere = "0.0.0.0" in (one[0], other[0]) or "::" in (one[0], other[0])
    return one[1:] == other[1:] and (everywhere or one[0] == other[0])
