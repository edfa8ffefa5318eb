"""The core group."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apiserver.registry.columns.shared import (
    AGE,
    CONTAINERS,
    NAME,
    NAME_TEXT,
    NONE,
    UNKNOWN,
    UNSET,
    ago,
    balancers_of,
    cell,
    containers_at,
    joined,
    number,
    read,
    shown_claim_class,
    shown_map,
    text,
)
from apiserver.registry.strategy import Column
from kubarium.api.core import service as services
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, is_deleting, labels_of, name_of, spec_of, status_of

POD_TEMPLATE = (
    NAME,
    *containers_at("template", wide=False),
    cell(
        "Pod Labels",
        lambda obj: shown_map(read(obj, "template", "metadata", "labels", default={})),
        "The labels for the pod template.",
    ),
)


def node_status(node: Object) -> str:
    """Ready, NotReady or Unknown, and whether it takes pods."""
    ready = conditions.find(status_of(node).get("conditions"), "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if spec_of(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def node_roles(node: Object) -> str:
    """What the labels say that the node is for."""
    prefix, labels = "node-role.kubernetes.io/", labels_of(node)
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    roles.add(labels.get("kubernetes.io/role") or "")
    return joined(sorted(roles - {""}))


def _kernel(node: Object) -> str:
    info = status_of(node).get("nodeInfo") or {}
    architecture = info.get("architecture")
    return (info.get("kernelVersion") or UNKNOWN) + (f" ({architecture})" if architecture else "")


def _system(name: str, field: str) -> Column:
    return cell(
        name,
        lambda node: read(node, "status", "nodeInfo", field) or UNKNOWN,
        wide=True,
        about=f"core.v1.NodeSystemInfo.{field}",
    )


def _address(node: Object, kind: str) -> str:
    addresses = status_of(node).get("addresses") or []
    return next((each["address"] for each in addresses if each.get("type") == kind), NONE)


_ADDRESSES = "core.v1.NodeStatus.addresses"
NODE = (
    NAME,
    cell("Status", node_status, "The status of the node"),
    cell("Roles", node_roles, "The roles of the node"),
    AGE,
    text("Version", "status", "nodeInfo", "kubeletVersion", about="core.v1.NodeSystemInfo.kubeletVersion"),
    cell("Internal-IP", lambda node: _address(node, "InternalIP"), wide=True, about=_ADDRESSES),
    cell("External-IP", lambda node: _address(node, "ExternalIP"), wide=True, about=_ADDRESSES),
    _system("OS-Image", "osImage"),
    cell("Kernel-Version", _kernel, wide=True, about="core.v1.NodeSystemInfo.kernelVersion"),
    _system("Container-Runtime", "containerRuntimeVersion"),
)
NAMESPACE = (
    NAME,
    cell("Status", lambda obj: read(obj, "status", "phase"), "The status of the namespace"),
    AGE,
)


def _external_ip(service: Object) -> str:
    spec, kind = spec_of(service), services.type_of(service)
    if kind == services.EXTERNAL_NAME:
        return spec.get("externalName") or ""
    given = list(spec.get("externalIPs") or [])
    if kind == services.LOAD_BALANCER:
        balancers = balancers_of(service)
        return joined(([balancers] if balancers else []) + given, "<pending>")
    return joined(given)


def _cluster_ip(service: Object) -> str:
    addresses = spec_of(service).get("clusterIPs") or []
    return addresses[0] if addresses else NONE


def _service_ports(service: Object) -> str:
    return joined(
        str(p.get("port")) + (f":{p['nodePort']}" if p.get("nodePort") else "") + f"/{p.get('protocol')}"
        for p in services.ports_of(service)
    )


SERVICE = (
    NAME,
    text("Type", "spec", "type", about="core.v1.ServiceSpec.type"),
    cell("Cluster-IP", _cluster_ip, about="core.v1.ServiceSpec.clusterIP"),
    cell("External-IP", _external_ip, about="core.v1.ServiceSpec.externalIPs"),
    cell("Port(s)", _service_ports, about="core.v1.ServiceSpec.ports"),
    AGE,
    cell(
        "Selector",
        lambda service: shown_map(spec_of(service).get("selector")),
        wide=True,
        about="core.v1.ServiceSpec.selector",
    ),
)


def _endpoints(endpoints: Object) -> str:
    """The first three addresses, and how many more there are."""
    subsets = endpoints.get("subsets") or []
    found: list[str] = []
    for subset in subsets:
        hosts = [address.get("ip") or "" for address in subset.get("addresses") or []]
        ports = [port.get("port") for port in subset.get("ports") or []]
        found += [_host_port(host, port) for port in ports for host in hosts] if ports else hosts
    if not subsets:
        return NONE
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def _host_port(host: str, port: Any) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


ENDPOINTS = (NAME, cell("Endpoints", _endpoints, about="core.v1.Endpoints.subsets"), AGE)
CONFIG_MAP = (
    NAME,
    cell(
        "Data",
        lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
        about="core.v1.ConfigMap.data",
    ),
    AGE,
)
SECRET = (
    NAME,
    text("Type", "type", about="core.v1.Secret.type"),
    cell("Data", lambda obj: len(obj.get("data") or {}), about="core.v1.Secret.data"),
    AGE,
)
SERVICE_ACCOUNT = (NAME, AGE)
_CONTROLLER = "core.v1.ReplicationController"
REPLICATION_CONTROLLER = (
    NAME,
    number("Desired", "spec", "replicas", about=f"{_CONTROLLER}Spec.replicas"),
    number("Current", "status", "replicas", about=f"{_CONTROLLER}Status.replicas"),
    number("Ready", "status", "readyReplicas", about=f"{_CONTROLLER}Status.readyReplicas"),
    AGE,
    *CONTAINERS,
    cell(
        "Selector",
        lambda obj: shown_map(spec_of(obj).get("selector")),
        wide=True,
        about=f"{_CONTROLLER}Spec.selector",
    ),
)

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: list[str] | None) -> str:
    return ",".join(_MODES[mode] for mode in _MODES if mode in (modes or []))


def _volume_status(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else status_of(obj).get("phase") or ""


def _claim_of(volume: Object) -> str:
    claim = spec_of(volume).get("claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _of_bound(shown: Callable[[Object], str]) -> Callable[[Object], str]:
    """What a claim has is only shown once it names its volume."""
    return lambda claim: shown(claim) if spec_of(claim).get("volumeName") else ""


_VOLUME, _CLAIM = "core.v1.PersistentVolume", "core.v1.PersistentVolumeClaim"
PERSISTENT_VOLUME = (
    NAME,
    text("Capacity", "spec", "capacity", "storage", default="0", about=f"{_VOLUME}Spec.capacity"),
    cell(
        "Access Modes",
        lambda obj: _modes(spec_of(obj).get("accessModes")),
        about=f"{_VOLUME}Spec.accessModes",
    ),
    text(
        "Reclaim Policy",
        "spec",
        "persistentVolumeReclaimPolicy",
        about=f"{_VOLUME}Spec.persistentVolumeReclaimPolicy",
    ),
    cell("Status", _volume_status, about=f"{_VOLUME}Status.phase"),
    cell("Claim", _claim_of, about=f"{_VOLUME}Spec.claimRef"),
    cell("StorageClass", shown_claim_class, "StorageClass of the pv"),
    cell(
        "VolumeAttributesClass",
        lambda obj: read(obj, "spec", "volumeAttributesClassName", default=UNSET),
        "VolumeAttributesClass of the pv",
    ),
    text("Reason", "status", "reason", about=f"{_VOLUME}Status.reason"),
    AGE,
    text("VolumeMode", "spec", "volumeMode", wide=True, default=UNSET, about=f"{_VOLUME}Spec.volumeMode"),
)
PERSISTENT_VOLUME_CLAIM = (
    NAME,
    cell("Status", _volume_status, about=f"{_CLAIM}Status.phase"),
    text("Volume", "spec", "volumeName", about=f"{_CLAIM}Spec.volumeName"),
    cell(
        "Capacity",
        _of_bound(lambda obj: read(obj, "status", "capacity", "storage", default="0")),
        about=f"{_CLAIM}Status.capacity",
    ),
    cell(
        "Access Modes",
        _of_bound(lambda obj: _modes(status_of(obj).get("accessModes"))),
        about=f"{_CLAIM}Status.accessModes",
    ),
    cell("StorageClass", shown_claim_class, "StorageClass of the pvc"),
    cell(
        "VolumeAttributesClass",
        lambda obj: read(obj, "spec", "volumeAttributesClassName", default=UNSET),
        "VolumeAttributesClass of the pvc",
    ),
    AGE,
    text("VolumeMode", "spec", "volumeMode", wide=True, default=UNSET, about=f"{_CLAIM}Spec.volumeMode"),
)


def _last_seen(event: Object, now: datetime) -> str:
    if event.get("series"):
        return ago(read(event, "series", "lastObservedTime"), now)
    return ago(_old(event, "lastTimestamp") or _first_moment(event), now)


def _first_seen(event: Object, now: datetime) -> str:
    return ago(_first_moment(event), now)


def _first_moment(event: Object) -> Any:
    return _old(event, "firstTimestamp") or event.get("eventTime")


def _old(event: Object, name: str) -> Any:
    """A field of v1 that events.k8s.io/v1 calls deprecated."""
    return event.get(name) or event.get(f"deprecated{name[0].upper()}{name[1:]}")


def _event_object(event: Object) -> str:
    about = _about(event)
    kind = (about.get("kind") or "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _count(event: Object) -> int:
    return int(read(event, "series", "count") or _old(event, "count") or 1)


def _about(event: Object) -> Object:
    return event.get("involvedObject") or event.get("regarding") or {}


def _event_source(event: Object) -> str:
    source = _old(event, "source") or {}
    reporter = event.get("reportingComponent") or event.get("reportingController") or ""
    component = source.get("component") or reporter
    instance = source.get("host") or event.get("reportingInstance")
    return f"{component}, {instance}" if instance else component


def _health(field: str) -> Callable[[Object], str]:
    def show(status: Object) -> str:
        found = next((one for one in status.get("conditions") or () if one.get("type") == "Healthy"), None)
        if found is None:
            return "Unknown" if field == "status" else ""
        if field == "status":
            return "Healthy" if found.get("status") == "True" else "Unhealthy"
        return str(found.get(field) or "")

    return show


COMPONENT_STATUS = (
    NAME,
    cell("Status", _health("status"), "Status of the component conditions"),
    cell("Message", _health("message"), "Message of the component conditions"),
    cell("Error", _health("error"), "Error of the component conditions"),
)
_EVENT = "core.v1.Event"
EVENT = (
    Column("Last Seen", _last_seen, needs_now=True, about=f"{_EVENT}.lastTimestamp"),
    text("Type", "type", about=f"{_EVENT}.type"),
    text("Reason", "reason", about=f"{_EVENT}.reason"),
    cell("Object", _event_object, about=f"{_EVENT}.involvedObject"),
    cell(
        "Subobject",
        lambda event: _about(event).get("fieldPath") or "",
        wide=True,
        about="core.v1.ObjectReference.fieldPath",
    ),
    cell("Source", _event_source, wide=True, about=f"{_EVENT}.source"),
    cell(
        "Message",
        lambda event: (event.get("message") or event.get("note") or "").strip(),
        about=f"{_EVENT}.message",
    ),
    Column("First Seen", _first_seen, needs_now=True, priority=1, about=f"{_EVENT}.firstTimestamp"),
    Column("Count", _count, priority=1, about=f"{_EVENT}.count"),
    Column("Name", name_of, format="name", description=NAME_TEXT, priority=1),
)


def _quota_part(quota: Object, limits: bool) -> str:
    hard, used = status_of(quota).get("hard") or {}, status_of(quota).get("used") or {}
    wanted = sorted(name for name in hard if name.startswith("limits.") is limits)
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in wanted)


RESOURCE_QUOTA = (
    NAME,
    cell(
        "Request",
        lambda quota: _quota_part(quota, False),
        "Request represents a minimum amount of cpu/memory that a container may consume.",
    ),
    cell(
        "Limit",
        lambda quota: _quota_part(quota, True),
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the "
        "node.",
    ),
    AGE,
)
