"""`apply --prune`: what was applied once but is in no file any more goes.

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.last_applied import ANNOTATION
from kubarium.kubectl.names import Kind
from kubarium.kubectl.session import Session, say

KINDS = (
    *(f"v1/{kind}" for kind in ("ConfigMap", "Endpoints", "Namespace", "PersistentVolumeClaim")),
    *(f"v1/{kind}" for kind in ("PersistentVolume", "Pod", "ReplicationController", "Secret", "Service")),
    *(f"batch/v1/{kind}" for kind in ("Job", "CronJob")),
    "networking.k8s.io/v1/Ingress",
    *(f"apps/v1/{kind}" for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")),
)


async def prune(session: Session, applied: Sequence[Object], flags: Any) -> None:
    """Delete what the selector chooses, bears the annotation, and was not applied now."""
    wanted = {word.removeprefix("core/") for word in flags["prune_allowlist"]} or set(KINDS)
    kept = {each["metadata"].get("uid") for each in applied}
    namespaces = dict.fromkeys(namespace_of(each) for each in applied if namespace_of(each))
    for kind in await session.names.kinds():
        if f"{kind.api_version}/{kind.kind}" in wanted:
            for namespace in namespaces if kind.namespaced else ("",):
                await _prune(session, kind, namespace, kept, flags)


async def _prune(session: Session, kind: Kind, namespace: str, kept: set[Any], flags: Any) -> None:
    resource = session.resource(kind)
    listed = await resource.list(namespace, label_selector=flags["selector"])
    for obj in listed["items"]:
        metadata = obj["metadata"]
        if ANNOTATION not in (metadata.get("annotations") or {}) or metadata["uid"] in kept:
            continue
        if flags["dry_run"] != "client":
            await resource.delete(
                name_of(obj), namespace, propagation_policy="Background", dry_run=flags["dry_run"] == "server"
            )
        say(f"{kind.full_name(name_of(obj))} {dry.told('pruned', flags['dry_run'])}")
