"""Pods: phase, grace, generation, and the subresources that change a part of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver.registry.strategy import Strategy, keep
from apiserver.request import RequestContext
from kubarium.api.core.pod import (
    addresses,
    affinity,
    defaults,
    resize_rules,
    resources,
    update_rules,
    validation,
    warnings,
)
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, generation_of, metadata_of, spec_of, status_of

DEFAULT_GRACE_SECONDS = 30
FINISHED_PHASES = ("Succeeded", "Failed")


def _spec(name: str) -> FieldGetter:
    return lambda pod: spec_of(pod).get(name) or ""


def _status(name: str) -> FieldGetter:
    return lambda pod: status_of(pod).get(name) or ""


SELECTABLE: Mapping[str, FieldGetter] = {
    "spec.nodeName": _spec("nodeName"),
    "spec.restartPolicy": _spec("restartPolicy"),
    "spec.schedulerName": _spec("schedulerName"),
    "spec.serviceAccountName": _spec("serviceAccountName"),
    "spec.hostNetwork": lambda pod: "true" if spec_of(pod).get("hostNetwork") else "false",
    "status.phase": _status("phase"),
    "status.podIP": _status("podIP"),
    "status.nominatedNodeName": _status("nominatedNodeName"),
}


GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
    "lastProbeTime": None,
    "lastTransitionTime": None,
}


@dataclass(frozen=True)
class PodStrategy(Strategy):
    """A new pod is Pending; a deleted one lives on until its kubelet has stopped it."""

    has_generation: bool = True
    returns_deleted: bool = True
    selectable_fields: Mapping[str, FieldGetter] = field(default_factory=lambda: SELECTABLE)

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        metadata_of(obj)["generation"] = 1
        obj["status"] = {"phase": "Pending", "qosClass": resources.qos_class(obj)}
        affinity.merge_label_keys(obj)
        if spec_of(obj).get("schedulingGates"):
            obj["status"]["conditions"] = [pod_status.observed(obj, GATED)]

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        keep(new, old, "status")
        _count(new, old)

    def prepare_for_status_update(self, context: RequestContext, new: Object, old: Object) -> None:
        keep(new, old, "spec")
        metadata = metadata_of(new)
        # Only the pod itself may lose its deletion mark or change owners, never its status.
        for field_name in ("deletionTimestamp", "ownerReferences"):
            keep(metadata, old["metadata"], field_name)
        addresses.agree(new.setdefault("status", {}))
        if "qosClass" in status_of(old):
            new.setdefault("status", {})["qosClass"] = status_of(old)["qosClass"]

    def grace_seconds(self, obj: Object, asked: int | None) -> int:
        """What was asked, or what the pod wishes; nothing where no container can be running."""
        spec, status = spec_of(obj), status_of(obj)
        if not spec.get("nodeName") or status.get("phase") in FINISHED_PHASES:
            return 0
        seconds = asked if asked is not None else spec.get("terminationGracePeriodSeconds")
        if seconds is None:
            seconds = DEFAULT_GRACE_SECONDS
        return 1 if seconds < 0 else int(seconds)


def prepare_ephemeral_containers(context: RequestContext, new: Object, old: Object) -> None:
    """Only the ephemeral containers come from the request."""
    wanted = spec_of(new).get("ephemeralContainers")
    _restore(new, old)
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted
    else:
        new["spec"].pop("ephemeralContainers", None)
    _count(new, old)


def prepare_resize(context: RequestContext, new: Object, old: Object) -> None:
    """Only resources of the pod and its containers, and their resize policies, come from the request.

    Containers with other names are left as they were asked for: validation refuses them.
    """
    if not resize_rules.same_containers(new, old):
        return
    wanted = spec_of(new)
    _restore(new, old)
    _take(new["spec"], wanted, "resources")
    for list_name in ("containers", "initContainers"):
        for container, asked in zip(
            new["spec"].get(list_name) or (), wanted.get(list_name) or (), strict=True
        ):
            for field_name in ("resources", "resizePolicy"):
                _take(container, asked, field_name)
    _count(new, old)


def _take(target: Object, source: Object, field_name: str) -> None:
    if field_name in source:
        target[field_name] = source[field_name]
    else:
        target.pop(field_name, None)


def _restore(new: Object, old: Object) -> None:
    keep(new, old, "spec")
    keep(new, old, "status")


def _count(new: Object, old: Object) -> None:
    metadata_of(new)["generation"] = generation_of(old) + (new.get("spec") != old.get("spec"))


STRATEGY = PodStrategy(
    defaults=defaults.fill,
    validate=validation.validate,
    validate_update=update_rules.validate_update,
    warnings=warnings.warnings,
)
