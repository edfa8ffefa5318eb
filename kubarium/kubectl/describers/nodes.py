"""A node, and what its pods take of it."""

from __future__ import annotations

from datetime import UTC, datetime

from kubarium.api.core.pod import resources
from kubarium.apimachinery import errors, quantity
from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.describers.page import Page, go_list, moment
from kubarium.kubectl.describers.plain import head
from kubarium.kubectl.session import Session

ROLE = "node-role.kubernetes.io/"
STANDARD = ("cpu", "memory", "ephemeral-storage")
SYSTEM = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)


async def node(session: Session, obj: Object, page: Page) -> None:
    """A node."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    labels = metadata.get("labels") or {}
    page.write(0, "Name:", metadata["name"])
    roles = sorted(key.removeprefix(ROLE) for key in labels if key.startswith(ROLE))
    page.write(0, "Roles:", ",".join(roles) or "<none>")
    page.pairs(0, "Labels", labels)
    page.annotations(0, metadata.get("annotations"))
    page.write(0, "CreationTimestamp:", moment(metadata.get("creationTimestamp")))
    taints = [
        f"{one['key']}{'=' + one['value'] if one.get('value') else ''}:{one['effect']}"
        for one in spec.get("taints") or []
    ]
    page.listed(0, "Taints", sorted(taints))
    page.write(0, "Unschedulable:", str(bool(spec.get("unschedulable"))).lower())
    await _lease(session, metadata["name"], page)
    _conditions(status, page)
    page.write(0, "Addresses:")
    for one in status.get("addresses") or []:
        page.write(1, f"{one['type']}:", one["address"])
    for side in ("capacity", "allocatable"):
        page.write(0, f"{side.capitalize()}:")
        for name, amount in sorted((status.get(side) or {}).items()):
            page.write(1, f"{name}:", str(amount))
    page.write(0, "System Info:")
    for title, field in SYSTEM:
        page.write(1, f"{title}:", (status.get("nodeInfo") or {}).get(field) or "")
    if spec.get("podCIDR"):
        page.write(0, "PodCIDR:", spec["podCIDR"])
        page.write(0, "PodCIDRs:", ",".join(spec.get("podCIDRs") or []))
    if spec.get("providerID"):
        page.write(0, "ProviderID:", spec["providerID"])
    await _pods(session, obj, page)


async def csi_node(session: Session, obj: Object, page: Page) -> None:
    """Which drivers of volumes a node has."""
    head(obj, page)
    page.write(0, "CreationTimestamp:", moment(obj["metadata"].get("creationTimestamp")))
    page.write(0, "Spec:")
    drivers = obj["spec"].get("drivers") or []
    if drivers:
        page.write(1, "Drivers:")
    for one in drivers:
        page.write(2, f"{one['name']}:")
        page.write(3, "Node ID:", one["nodeID"])
        if (count := (one.get("allocatable") or {}).get("count")) is not None:
            page.write(3, "Allocatables:")
            page.write(4, "Count:", str(count))
        if one.get("topologyKeys"):
            page.write(3, "Topology Keys:", go_list(one["topologyKeys"]))


async def _lease(session: Session, name: str, page: Page) -> None:
    leases = session.client.resource("coordination.k8s.io/v1", "leases")
    try:
        spec = (await leases.get(name, "kube-node-lease")).get("spec") or {}
    except errors.StatusError as error:
        page.write(0, "Lease:", f"Failed to get lease: {error}")
        return
    page.write(0, "Lease:")
    page.write(1, "HolderIdentity:", spec.get("holderIdentity") or "<unset>")
    page.write(1, "AcquireTime:", moment(spec.get("acquireTime")))
    page.write(1, "RenewTime:", moment(spec.get("renewTime")))


def _conditions(status: Object, page: Page) -> None:
    if not status.get("conditions"):
        return
    page.write(0, "Conditions:")
    rows = [
        [
            one["type"] + " ",
            one["status"] + " ",
            moment(one.get("lastHeartbeatTime")) + " ",
            moment(one.get("lastTransitionTime")) + " ",
            (one.get("reason") or "") + " ",
            (one.get("message") or "") + " ",
        ]
        for one in status["conditions"]
    ]
    heads = ["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"]
    page.table(1, heads, rows)


async def _pods(session: Session, obj: Object, page: Page) -> None:
    query = f"spec.nodeName={name_of(obj)},status.phase!=Succeeded,status.phase!=Failed"
    pods = (await session.client.resource("v1", "pods").list("", field_selector=query))["items"]
    can = (obj.get("status") or {}).get("allocatable") or (obj.get("status") or {}).get("capacity") or {}
    page.write(0, "Non-terminated Pods:", f"({len(pods)} in total)")
    rows = []
    for one in pods:
        asked, bounds = (
            resources.quantities_of(one["spec"], "requests"),
            resources.quantities_of(one["spec"], "limits"),
        )
        amounts = [
            _share(side.get(name, "0"), name, can) for name in STANDARD[:2] for side in (asked, bounds)
        ]
        rows.append([namespace_of(one), name_of(one), "", *amounts, _age(one)])
    heads = ["Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"]
    page.table(1, heads, rows)
    page.write(0, "Allocated resources:")
    page.write(1, "(Total limits may be over 100 percent, i.e., overcommitted.)")
    others = sorted(name for name in can if name not in (*STANDARD, "pods"))
    rows = []
    for name in [*STANDARD, *others]:
        sums = []
        for side in ("requests", "limits"):
            total = quantity.total(
                [resources.quantities_of(one["spec"], side).get(name, "0") for one in pods]
            )
            is_plain = "/" in name
            sums.append(total if is_plain else _share(total, name, can))
        rows.append([name, *sums])
    page.table(1, ["Resource", "Requests", "Limits"], rows)


def _share(amount: str, name: str, can: Object) -> str:
    whole = quantity.milli_value(can.get(name, "0"))
    percent = quantity.milli_value(amount) * 100 // whole if whole else 0
    return f"{amount} ({percent}%)"


def _age(obj: Object) -> str:
    created = obj["metadata"].get("creationTimestamp")
    if not created:
        return "<unknown>"
    return api_time.human_duration((datetime.now(UTC) - api_time.parse_time(created)).total_seconds())
