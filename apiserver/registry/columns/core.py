"""The core group."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apiserver.registry.columns.shared import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    UNKNOWN,
    ago,
    cell,
    created,
    joined,
    number,
    read,
    shown_map,
    text,
)
from apiserver.registry.strategy import Column
from kubarium.api.core import service as services
from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, is_deleting, labels_of, name_of, spec_of, status_of


def _statuses(pod: Object, field: str = "containerStatuses") -> list[Object]:
    return status_of(pod).get(field) or []


def _state(status: Object, kind: str) -> Object | None:
    found: Object | None = (status.get("state") or {}).get(kind)
    return found


def pod_ready(pod: Object) -> str:
    """How many containers are ready, sidecars included."""
    sidecars = {container["name"] for container in pod_containers.sidecars_of(pod)}
    statuses = [
        *_statuses(pod),
        *(s for s in _statuses(pod, "initContainerStatuses") if s.get("name") in sidecars),
    ]
    total = len(pod_containers.containers_of(pod)) + len(sidecars)
    return f"{sum(1 for status in statuses if status.get('ready'))}/{total}"


def pod_status(pod: Object) -> str:
    """One word for all that a pod's status says, as `kubectl get pods` shows it."""
    status = status_of(pod)
    reason = status.get("reason") or status.get("phase") or ""
    scheduled = conditions.find(status.get("conditions"), "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initializing, told = _init_status(pod)
    reason = told or reason
    if not initializing or conditions.is_true(pod, "Initialized"):
        reason = _containers_status(pod, reason)
    if is_deleting(pod):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _init_status(pod: Object) -> tuple[bool, str]:
    """Is the pod still initialising, and what says so."""
    inits = {container["name"]: container for container in pod_containers.init_containers_of(pod)}
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        container = inits.get(status.get("name") or "")
        ended, waiting = _state(status, "terminated"), _state(status, "waiting")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if container is not None and is_restartable_init(container) and status.get("started"):
            continue
        if ended is not None:
            return True, "Init:" + _ending(ended)
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return True, f"Init:{waiting['reason']}"
        return True, f"Init:{index}/{len(inits)}"
    return False, ""


def _ending(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode')}"


def _containers_status(pod: Object, reason: str) -> str:
    running = False
    for status in reversed(_statuses(pod)):
        waiting, ended = _state(status, "waiting"), _state(status, "terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _ending(ended)
        elif status.get("ready") and _state(status, "running") is not None:
            running = True
    if reason == "Completed" and running:
        return "Running" if conditions.is_true(pod, "Ready") else "NotReady"
    return reason


def pod_restarts(pod: Object, now: datetime) -> str:
    """How often containers were restarted, and when the last time."""
    statuses = [*_statuses(pod), *_statuses(pod, "initContainerStatuses")]
    total = sum(status.get("restartCount") or 0 for status in _statuses(pod))
    sidecars = {container["name"] for container in pod_containers.sidecars_of(pod)}
    total += sum(
        s.get("restartCount") or 0 for s in _statuses(pod, "initContainerStatuses") if s["name"] in sidecars
    )
    if not total:
        return "0"
    endings = [read(status, "lastState", "terminated", "finishedAt") for status in statuses]
    last = max((ending for ending in endings if ending), default="")
    return f"{total} ({ago(last, now)} ago)" if last else str(total)


def _pod_ip(pod: Object) -> str:
    ips = status_of(pod).get("podIPs") or []
    return (ips[0].get("ip") if ips else status_of(pod).get("podIP")) or NONE


def _readiness_gates(pod: Object) -> str:
    gates = spec_of(pod).get("readinessGates") or []
    if not gates:
        return NONE
    true = sum(1 for gate in gates if conditions.is_true(pod, gate.get("conditionType") or ""))
    return f"{true}/{len(gates)}"


POD = (
    NAME,
    cell("Ready", pod_ready),
    cell("Status", pod_status),
    Column("Restarts", pod_restarts, needs_now=True),
    AGE,
    cell("IP", _pod_ip, wide=True),
    cell("Node", lambda pod: spec_of(pod).get("nodeName") or NONE, wide=True),
    cell("Nominated Node", lambda pod: status_of(pod).get("nominatedNodeName") or NONE, wide=True),
    cell("Readiness Gates", _readiness_gates, wide=True),
)
POD_TEMPLATE = (
    NAME,
    cell(
        "Containers",
        lambda obj: joined(c["name"] for c in read(obj, "template", "spec", "containers", default=[])),
    ),
    cell(
        "Images",
        lambda obj: joined(
            c.get("image") or "" for c in read(obj, "template", "spec", "containers", default=[])
        ),
    ),
    cell("Pod Labels", lambda obj: shown_map(read(obj, "template", "metadata", "labels", default={}))),
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
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels_of(node) if key.startswith(prefix)}
    return joined(sorted(role for role in roles if role))


def _address(node: Object, kind: str) -> str:
    addresses = status_of(node).get("addresses") or []
    return next((each["address"] for each in addresses if each.get("type") == kind), NONE)


NODE = (
    NAME,
    cell("Status", node_status),
    cell("Roles", node_roles),
    AGE,
    text("Version", "status", "nodeInfo", "kubeletVersion"),
    cell("Internal-IP", lambda node: _address(node, "InternalIP"), wide=True),
    cell("External-IP", lambda node: _address(node, "ExternalIP"), wide=True),
    text("OS-Image", "status", "nodeInfo", "osImage", wide=True, default=UNKNOWN),
    text("Kernel-Version", "status", "nodeInfo", "kernelVersion", wide=True, default=UNKNOWN),
    text("Container-Runtime", "status", "nodeInfo", "containerRuntimeVersion", wide=True, default=UNKNOWN),
)
NAMESPACE = (NAME, text("Status", "status", "phase"), AGE)


def _external_ip(service: Object) -> str:
    spec, kind = spec_of(service), services.type_of(service)
    given = list(spec.get("externalIPs") or [])
    if kind == services.EXTERNAL_NAME:
        return spec.get("externalName") or NONE
    if kind == services.LOAD_BALANCER:
        ingress = (status_of(service).get("loadBalancer") or {}).get("ingress") or []
        return joined([each.get("ip") or each.get("hostname") or "" for each in ingress] + given, "<pending>")
    return joined(given)


def _service_ports(service: Object) -> str:
    return joined(
        str(p.get("port")) + (f":{p['nodePort']}" if p.get("nodePort") else "") + f"/{p.get('protocol')}"
        for p in services.ports_of(service)
    )


SERVICE = (
    NAME,
    text("Type", "spec", "type"),
    text("Cluster-IP", "spec", "clusterIP", default=NONE),
    cell("External-IP", _external_ip),
    cell("Port(s)", _service_ports),
    AGE,
    cell("Selector", lambda service: shown_map(spec_of(service).get("selector")), wide=True),
)


def _endpoints(endpoints: Object) -> str:
    """The first three addresses, and how many more there are."""
    found: list[str] = []
    for subset in endpoints.get("subsets") or []:
        hosts = [address.get("ip") or "" for address in subset.get("addresses") or []]
        ports = [port.get("port") for port in subset.get("ports") or []]
        found += [f"{host}:{port}" for port in ports for host in hosts] if ports else hosts
    return joined(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


ENDPOINTS = (NAME, cell("Endpoints", _endpoints), AGE)
CONFIG_MAP = (
    NAME,
    cell("Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), type="string"),
    AGE,
)
SECRET = (
    NAME,
    text("Type", "type"),
    cell("Data", lambda obj: len(obj.get("data") or {}), type="string"),
    AGE,
)
SERVICE_ACCOUNT = (NAME, AGE)
REPLICATION_CONTROLLER = (
    NAME,
    number("Desired", "spec", "replicas"),
    number("Current", "status", "replicas"),
    number("Ready", "status", "readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    cell("Selector", lambda obj: shown_map(spec_of(obj).get("selector")), wide=True),
)

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: list[str] | None) -> str:
    return ",".join(_MODES[mode] for mode in _MODES if mode in (modes or []))


def _volume_status(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else status_of(obj).get("phase") or ""


def _claim_of(volume: Object) -> str:
    claim = spec_of(volume).get("claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


PERSISTENT_VOLUME = (
    NAME,
    text("Capacity", "spec", "capacity", "storage"),
    cell("Access Modes", lambda obj: _modes(spec_of(obj).get("accessModes"))),
    text("Reclaim Policy", "spec", "persistentVolumeReclaimPolicy"),
    cell("Status", _volume_status),
    cell("Claim", _claim_of),
    text("StorageClass", "spec", "storageClassName"),
    text("VolumeAttributesClass", "spec", "volumeAttributesClassName", default="<unset>"),
    text("Reason", "status", "reason"),
    AGE,
    text("VolumeMode", "spec", "volumeMode", wide=True, default="<unset>"),
)
PERSISTENT_VOLUME_CLAIM = (
    NAME,
    cell("Status", _volume_status),
    text("Volume", "spec", "volumeName"),
    text("Capacity", "status", "capacity", "storage"),
    cell("Access Modes", lambda obj: _modes(status_of(obj).get("accessModes"))),
    text("StorageClass", "spec", "storageClassName"),
    text("VolumeAttributesClass", "spec", "volumeAttributesClassName", default="<unset>"),
    AGE,
    text("VolumeMode", "spec", "volumeMode", wide=True, default="<unset>"),
)


def _last_seen(event: Object, now: datetime) -> str:
    last = read(event, "series", "lastObservedTime") or _old(event, "lastTimestamp") or event.get("eventTime")
    return ago(last, now)


def _first_seen(event: Object, now: datetime) -> str:
    return ago(_old(event, "firstTimestamp") or event.get("eventTime") or created(event), now)


def _old(event: Object, name: str) -> Any:
    """A field of v1 that events.k8s.io/v1 calls deprecated."""
    return event.get(name) or event.get(f"deprecated{name[0].upper()}{name[1:]}")


def _event_object(event: Object) -> str:
    about = _about(event)
    return f"{(about.get('kind') or '').lower()}/{about.get('name') or ''}"


def _count(event: Object) -> int:
    return int(read(event, "series", "count") or _old(event, "count") or 1)


def _about(event: Object) -> Object:
    return event.get("involvedObject") or event.get("regarding") or {}


def _event_source(event: Object) -> str:
    source = _old(event, "source") or {}
    reporter = event.get("reportingComponent") or event.get("reportingController") or ""
    found = [source.get("component") or reporter, source.get("host") or ""]
    return ", ".join(part for part in found if part)


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
    cell("Status", _health("status")),
    cell("Message", _health("message")),
    cell("Error", _health("error")),
)
EVENT = (
    Column("Last Seen", _last_seen, needs_now=True),
    text("Type", "type"),
    text("Reason", "reason"),
    cell("Object", _event_object),
    cell("Subobject", lambda event: _about(event).get("fieldPath") or "", wide=True),
    cell("Source", _event_source, wide=True),
    cell("Message", lambda event: (event.get("message") or event.get("note") or "").strip()),
    Column("First Seen", _first_seen, needs_now=True, priority=1),
    Column("Count", _count, "integer", priority=1),
    Column("Name", name_of, format="name", priority=1),
)


def _quota_part(quota: Object, limits: bool) -> str:
    hard, used = status_of(quota).get("hard") or {}, status_of(quota).get("used") or {}
    wanted = sorted(name for name in hard if name.startswith("limits.") is limits)
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in wanted)


RESOURCE_QUOTA = (
    NAME,
    cell("Request", lambda quota: _quota_part(quota, False)),
    cell("Limit", lambda quota: _quota_part(quota, True)),
    AGE,
)
