"""`EndpointSlice`: where the pods of a Service are, a hundred at a time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import orjson

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import labels
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
HEADLESS = "service.kubernetes.io/headless"
CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"
LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"

ZONE = "topology.kubernetes.io/zone"


def service_of(slice_: Object) -> str:
    """The name of the Service that a slice belongs to."""
    return labels_of(slice_).get(SERVICE_NAME) or ""


def endpoints_of(slice_: Object) -> list[Object]:
    """The endpoints in a slice."""
    return slice_.get("endpoints") or []


def selects_pods(service: Object) -> bool:
    """Does the Service ask for its endpoints to be found by labels?"""
    return bool(spec_of(service).get("selector")) and spec_of(service).get("type") != "ExternalName"


def selector_of(service: Object) -> labels.Selector:
    """Which pods serve it."""
    return labels.from_map(spec_of(service).get("selector"))


def services_of(pod: Object, services: Iterable[Object]) -> list[ObjectKey]:
    """Which of the Services of its namespace select a pod."""
    return [
        key_of(service)
        for service in services
        if selects_pods(service) and selector_of(service).matches(labels_of(pod))
    ]


def is_headless(service: Object) -> bool:
    """Has it no address of its own?"""
    return spec_of(service).get("clusterIP") == "None"


def families_of(service: Object) -> list[str]:
    """`IPv4`, `IPv6` or both; by its address for a Service that does not say."""
    given: list[str] = spec_of(service).get("ipFamilies") or []
    address = spec_of(service).get("clusterIP") or ""
    return given or (["IPv6"] if ":" in address else ["IPv4"])


def addresses_of(pod: Object, family: str) -> list[str]:
    """The pod's addresses of a family."""
    status = status_of(pod)
    found = [entry["ip"] for entry in status.get("podIPs") or [] if entry.get("ip")]
    if not found and status.get("podIP"):
        found = [status["podIP"]]
    return [ip for ip in found if (":" in ip) == (family == "IPv6")][:1]


def belongs(pod: Object, *, terminating: bool) -> bool:
    """Can the pod be an endpoint at all? Pods on their way out count only if `terminating`."""
    if pod_status.is_terminal(pod) or not status_of(pod).get("podIP"):
        return False
    return terminating or not is_deleting(pod)


def hostname_of(pod: Object, service: Object) -> str:
    """The name under which DNS serves the pod below this Service, if any."""
    spec = spec_of(pod)
    if spec.get("hostname") and spec.get("subdomain") == name_of(service):
        return str(spec["hostname"]) if namespace_of(pod) == namespace_of(service) else ""
    return ""


def find_port(pod: Object, port: Object) -> int | None:
    """The number behind a Service port's `targetPort` in this pod; a name is looked up in its containers."""
    target = port.get("targetPort")
    if target is None or target == 0:
        return int(port["port"])
    if isinstance(target, int):
        return target
    protocol = port.get("protocol") or "TCP"
    spec = spec_of(pod)
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or []), *sidecars]:
        for candidate in container.get("ports") or []:
            if candidate.get("name") == target and (candidate.get("protocol") or "TCP") == protocol:
                return int(candidate["containerPort"])
    return None


def ports_for(pod: Object, service: Object) -> list[Object]:
    """The Service's ports as this pod serves them, in the form of EndpointSlice ports."""
    found = []
    for port in spec_of(service).get("ports") or []:
        number = find_port(pod, port)
        if number is None:
            continue
        entry: Object = {
            "name": port.get("name") or "",
            "protocol": port.get("protocol") or "TCP",
            "port": number,
        }
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        found.append(entry)
    return found


def endpoint_for(pod: Object, service: Object, addresses: Sequence[str], zone: str) -> Object:
    """The pod as an endpoint."""
    ready, terminating = pod_status.is_ready(pod), is_deleting(pod)
    always = bool(spec_of(service).get("publishNotReadyAddresses"))
    endpoint: Object = {
        "addresses": list(addresses),
        "conditions": {
            "ready": always or (ready and not terminating),
            "serving": ready,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": uid_of(pod),
        },
    }
    if hostname := hostname_of(pod, service):
        endpoint["hostname"] = hostname
    if node := spec_of(pod).get("nodeName"):
        endpoint["nodeName"] = node
    if zone:
        endpoint["zone"] = zone
    return endpoint


def identity_of(endpoint: Object) -> tuple[str, str, str]:
    """What makes two endpoints the same one, whatever their conditions."""
    reference = endpoint.get("targetRef") or {}
    return (
        ",".join(sorted(endpoint.get("addresses") or [])),
        endpoint.get("hostname") or "",
        reference.get("uid") or "",
    )


def ports_key(ports: Sequence[Object] | None) -> bytes:
    """Equal for equal sets of ports, in any order."""
    entries = [
        (p.get("name") or "", p.get("protocol") or "TCP", p.get("port"), p.get("appProtocol"))
        for p in ports or []
    ]
    return orjson.dumps(sorted(entries, key=str))


def same_pod_endpoint(old: Object, new: Object) -> bool:
    """Is nothing about the pod different that endpoints are made of?"""
    return _view(old) == _view(new)


def _view(pod: Object) -> tuple[object, ...]:
    spec, status = spec_of(pod), status_of(pod)
    return (
        labels_of(pod),
        is_deleting(pod),
        pod_status.is_terminal(pod),
        pod_status.is_ready(pod),
        status.get("podIP"),
        status.get("podIPs"),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


def address_type_of(address: str) -> str:
    """IPv4 or IPv6."""
    return "IPv6" if ipaddress.ip_address(address).version == 6 else "IPv4"
