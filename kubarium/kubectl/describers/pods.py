"""A pod."""

from __future__ import annotations

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers import containers
from kubarium.kubectl.describers.page import Page, moment
from kubarium.kubectl.session import Session


async def pod(session: Session, obj: Object, page: Page) -> None:
    """Where it runs, what runs in it, and how it stands with that."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Namespace:", metadata["namespace"])
    if spec.get("priority") is not None:
        page.write(0, "Priority:", str(spec["priority"]))
    for title, field in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(field):
            page.write(0, f"{title}:", spec[field])
    node = spec.get("nodeName")
    page.write(0, "Node:", f"{node}/{status.get('hostIP') or ''}" if node else "<none>")
    if status.get("startTime"):
        page.write(0, "Start Time:", moment(status["startTime"]))
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))
    _phase(metadata, status, page)
    for field in ("reason", "message"):
        if status.get(field):
            page.write(0, f"{field.capitalize()}:", status[field])
    _addresses(status, page)
    controlled_by(metadata, page)
    if status.get("nominatedNodeName"):
        page.write(0, "NominatedNodeName:", status["nominatedNodeName"])
    _containers(obj, spec, status, page)
    if conditions := status.get("conditions"):
        page.write(0, "Conditions:")
        page.write(1, "Type ", "Status ")
        for one in conditions:
            page.write(1, f"{one['type']} ", f"{one['status']} ")
    containers.volumes(spec.get("volumes") or [], page, "")
    page.write(0, "QoS Class:", status.get("qosClass") or "")
    page.pairs(0, "Node-Selectors", spec.get("nodeSelector"))
    containers.tolerations(spec.get("tolerations") or [], page, 0)
    for constraint in spec.get("topologySpreadConstraints") or []:
        containers.spread(constraint, page, 0)


def _phase(metadata: Object, status: Object, page: Page) -> None:
    if metadata.get("deletionTimestamp") and not pod_status.is_terminal({"status": status}):
        page.write(0, "Status:", f"Terminating (since {moment(metadata['deletionTimestamp'])})")
        grace = metadata.get("deletionGracePeriodSeconds")
        page.write(0, "Termination Grace Period:", f"{grace or 0}s")
    else:
        page.write(0, "Status:", status.get("phase") or "")


def _addresses(status: Object, page: Page) -> None:
    page.write(0, "IP:", status.get("podIP") or "")
    found = status.get("podIPs") or []
    page.write(0, "IPs:", *([] if found else ["<none>"]))
    for one in found:
        page.write(1, "IP:", one["ip"])


def controlled_by(metadata: Object, page: Page) -> None:
    """Who looks after it."""
    for one in metadata.get("ownerReferences") or []:
        if one.get("controller"):
            page.write(0, "Controlled By:", f"{one['kind']}/{one['name']}")


def _containers(obj: Object, spec: Object, status: Object, page: Page) -> None:
    value = containers.field_values(obj)
    for title, field, told in (
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ):
        if spec.get(field):
            statuses = {one["name"]: one for one in status.get(told) or []}
            containers.of_list(title, spec[field], statuses, page, "", value)
