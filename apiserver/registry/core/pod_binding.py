"""`spec.nodeName` is set here and nowhere else."""

from __future__ import annotations

from datetime import datetime

from apiserver.registry.resource import Resource
from apiserver.registry.store import Registry, raise_translated
from apiserver.request import RequestContext
from apiserver.storage import interface as storage_errors
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.field_path import ROOT, FieldError, not_supported, required
from kubarium.apimachinery.object import Object, is_deleting, metadata_of, name_of

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def bind(registry: Registry, row: Resource, context: RequestContext, binding: Object) -> Object:
    """POST pods/<name>/binding: this pod goes to that node."""
    name = context.info.name
    if name_of(binding) != name:
        raise errors.BadRequest("name in URL does not match name in Binding object")
    raise_invalid_target(binding, name)
    wanted = binding.get("metadata") or {}

    def assign(pod: Object, revision: int) -> Object:
        check_preconditions(pod, wanted)
        assign_node(pod, binding, registry.clock.now())
        return pod

    if context.dry_run:
        await registry.get(row, context.info.namespace, name)
        return SUCCESS
    try:
        await registry.storage.update(row.key(context.info.namespace, name), assign)
    except storage_errors.KeyNotFound:
        raise errors.NotFound.of("", "pods", name) from None
    except storage_errors.StorageError as error:
        raise_translated(row, name, error)
        raise
    return SUCCESS


async def bind_by_collection(
    registry: Registry, row: Resource, context: RequestContext, binding: Object
) -> Object:
    """POST bindings: the older form, which names the pod in the body."""
    pods = registry.resources("", "pods")
    raise_invalid_target(binding, name_of(binding))

    def assign(pod: Object, revision: int) -> Object:
        assign_node(pod, binding, registry.clock.now())
        return pod

    try:
        await registry.storage.update(pods.key(context.info.namespace, name_of(binding)), assign)
    except storage_errors.KeyNotFound:
        raise errors.NotFound.of("", "pods", name_of(binding)) from None
    return SUCCESS


def raise_invalid_target(binding: Object, name: str) -> None:
    """The target must be a node, and must have a name."""
    target = binding.get("target") or {}
    found: list[FieldError] = []
    if target.get("kind") not in (None, "", "Node"):
        found.append(not_supported(ROOT / "target" / "kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        found.append(required(ROOT / "target" / "name"))
    if found:
        raise errors.Invalid.of("", "Binding", name, found)


def check_preconditions(pod: Object, wanted: Object) -> None:
    """A binding may name the uid and the resourceVersion of the pod it means."""
    for field_name, shown in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        value = wanted.get(field_name)
        if value and value != pod["metadata"].get(field_name):
            actual = pod["metadata"].get(field_name)
            raise _conflict(
                pod,
                f"Precondition failed: {shown} in precondition: {value}, {shown} in object meta: {actual}",
            )


def assign_node(pod: Object, binding: Object, now: datetime) -> None:
    """Write the decision into the pod. Raises Conflict when there is nothing to decide any more."""
    spec = pod["spec"]
    if is_deleting(pod):
        raise _conflict(pod, f"pod {name_of(pod)} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _conflict(pod, f'pod {name_of(pod)} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise _conflict(pod, f"pod {name_of(pod)} has non-empty .spec.schedulingGates")
    spec["nodeName"] = binding["target"]["name"]
    metadata, given = metadata_of(pod), binding.get("metadata") or {}
    for map_name in ("annotations", "labels"):
        if given.get(map_name):
            metadata[map_name] = (metadata.get(map_name) or {}) | given[map_name]
    status = pod.setdefault("status", {})
    status.pop("nominatedNodeName", None)  # it has come true, or it has not
    conditions.set_condition(
        status.setdefault("conditions", []),
        pod_status.observed(pod, {"type": "PodScheduled", "status": "True", "lastProbeTime": None}),
        now,
    )


def _conflict(pod: Object, why: str) -> errors.Conflict:
    return errors.Conflict.of("", "pods/binding", name_of(pod), why)
