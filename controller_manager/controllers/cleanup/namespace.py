"""Namespace: empty it, then let it go.

1. A namespace with a deletion timestamp is Terminating.
2. Delete its pods, and only when the last is gone everything else (kinds that can be deleted, by discovery):
   a pod must not outlive the policies, accounts and claims it lives by.
3. Say in conditions what is still there and why.
4. Nothing left: take `kubernetes` out of `spec.finalizers`, and the API server removes the namespace.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/ and KEP-5080 (ordered deletion).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field

from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.discovery import Discovered, Discovery
from kubarium.client.informer import METADATA_ONLY, Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

FINALIZER = "kubernetes"
PODS = ("v1", "pods")
FINALIZER_SECONDS = 30  # how long somebody else's finalizer may take, as a guess
PATIENCE = Backoff(initial=0.2, factor=1.6, maximum=15.0)  # first passes follow each other quickly


@dataclass
class Remains:
    """What one pass over the content of a namespace found."""

    counts: Counter[str] = field(default_factory=Counter)  # "pods." -> how many are left
    finalizers: Counter[str] = field(default_factory=Counter)  # finalizer -> on how many objects
    failures: list[str] = field(default_factory=list)  # kinds that could not be deleted, and why
    discovery_failures: list[str] = field(default_factory=list)
    seconds: int = 0  # estimate of how long the rest needs


class NamespaceController(Controller):
    """Deletes what is in a namespace that is being deleted."""

    name = "namespace-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock, *, workers: int = 10) -> None:
        self.workers = workers
        self.namespaces = informers.informer("v1", "namespaces").lister
        self.resource = client.resource("v1", "namespaces")
        self.discovery = Discovery(client)
        self._passes: dict[ObjectKey, int] = {}
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "namespaces", keys=_if_deleting),
            # A terminating namespace waits for its pods: look again when one of them goes.
            Watch("v1", "pods", keys=self._namespace_of_gone_pod, changed=lambda old, new: False),
        ]

    def _namespace_of_gone_pod(self, pod: Object) -> Iterable[ObjectKey]:
        namespace = self.namespaces.get("", namespace_of(pod))
        return _if_deleting(namespace) if namespace is not None else ()

    async def reconcile(self, key: ObjectKey) -> float | None:
        try:
            namespace = await self.resource.get(key.name)
        except errors.NotFound:
            return None
        if not is_deleting(namespace):
            return None
        if status_of(namespace).get("phase") != "Terminating":
            namespace["status"] = {**status_of(namespace), "phase": "Terminating"}
            namespace = await self.resource.update_status(namespace)
        if FINALIZER not in (spec_of(namespace).get("finalizers") or []):
            return None
        remains = await self._empty(key.name)
        await self._report(namespace, remains)
        if remains.failures or remains.discovery_failures:
            raise errors.StatusError("; ".join([*remains.discovery_failures, *remains.failures]))
        if remains.counts:
            log.debug("namespace %s still holds %s", key.name, dict(remains.counts))
            self._passes[key] = self._passes.get(key, 0) + 1
            return min(remains.seconds / 2 + 1, PATIENCE.delay(self._passes[key]))
        self._passes.pop(key, None)
        await self._finalize(key.name)
        return None

    async def _empty(self, namespace: str) -> Remains:
        remains = Remains()
        kinds = await self.discovery.namespaced(remains.discovery_failures)
        deletable = [kind for kind in kinds if "delete" in kind.verbs and "list" in kind.verbs]
        pods = [kind for kind in deletable if (kind.api_version, kind.plural) == PODS]
        for kind in pods:
            await self._delete_all(kind, namespace, remains)
        if remains.counts or remains.failures:
            return remains
        for kind in deletable:
            if kind not in pods:
                await self._delete_all(kind, namespace, remains)
        return remains

    async def _delete_all(self, kind: Discovered, namespace: str, remains: Remains) -> None:
        resource = self.client.resource(kind.api_version, kind.plural)
        try:
            left = await self._list(kind, namespace)
            if not left:
                return
            if "deletecollection" in kind.verbs:
                await resource.delete_collection(namespace, propagation_policy="Background")
            else:
                for obj in left:
                    await _delete_one(
                        resource.delete(name_of(obj), namespace, propagation_policy="Background")
                    )
            left = await self._list(kind, namespace)
        except (errors.NotFound, errors.MethodNotAllowed):
            return  # the kind has just gone, or is not really deletable: nothing of it can be left
        except errors.StatusError as error:
            remains.failures.append(f"{kind.group_resource}: {error}")
            return
        _count(kind, left, remains)

    async def _list(self, kind: Discovered, namespace: str) -> list[Object]:
        resource = self.client.resource(kind.api_version, kind.plural)
        found = await resource.list(namespace, headers={"Accept": f"{METADATA_ONLY},application/json"})
        items: list[Object] = found.get("items") or []
        return items

    async def _report(self, namespace: Object, remains: Remains) -> None:
        changed = copy(namespace)
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        news = [
            conditions.set_condition(listed, condition, self.clock.now())
            for condition in conditions_for(remains)
        ]
        if any(news):
            try:
                await self.resource.update_status(changed)
            except errors.Conflict:
                log.debug("namespace %s changed while its conditions were written", name_of(namespace))

    async def _finalize(self, name: str) -> None:
        try:
            namespace = await self.resource.get(name)
            left = [one for one in spec_of(namespace).get("finalizers") or [] if one != FINALIZER]
            namespace["spec"] = {**spec_of(namespace), "finalizers": left}
            await self.resource.update(namespace, subresource="finalize")
        except errors.NotFound:
            return


def _if_deleting(namespace: Object) -> Iterable[ObjectKey]:
    return (ObjectKey("", name_of(namespace)),) if is_deleting(namespace) else ()


async def _delete_one(deletion: Awaitable[Object]) -> None:
    try:
        await deletion
    except errors.NotFound:
        return


def _count(kind: Discovered, left: Sequence[Object], remains: Remains) -> None:
    if not left:
        return
    remains.counts[f"{kind.plural}.{kind.group}"] += len(left)
    for obj in left:
        remains.finalizers.update(finalizers_of(obj))
    graces = [obj["metadata"].get("deletionGracePeriodSeconds") or 0 for obj in left]
    waiting = FINALIZER_SECONDS if any(map(finalizers_of, left)) else 1
    remains.seconds = max(remains.seconds, *graces, waiting)


def conditions_for(remains: Remains) -> list[Object]:
    """The five conditions of a terminating namespace."""
    return [
        _condition(
            "NamespaceDeletionDiscoveryFailure",
            "DiscoveryFailed" if remains.discovery_failures else "ResourcesDiscovered",
            f"Discovery failed for some groups, {len(remains.discovery_failures)} failing: "
            + ", ".join(remains.discovery_failures)
            if remains.discovery_failures
            else "All resources successfully discovered",
            bool(remains.discovery_failures),
        ),
        _condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
            False,
        ),
        _condition(
            "NamespaceDeletionContentFailure",
            "ContentDeletionFailed" if remains.failures else "ContentDeleted",
            f"Failed to delete all resource types, {len(remains.failures)} remaining: {', '.join(remains.failures)}"
            if remains.failures
            else "All content successfully deleted, may be waiting on finalization",
            bool(remains.failures),
        ),
        _condition(
            "NamespaceContentRemaining",
            "SomeResourcesRemain" if remains.counts else "ContentRemoved",
            "Some resources are remaining: "
            + ", ".join(f"{kind} has {n} resource instances" for kind, n in sorted(remains.counts.items()))
            if remains.counts
            else "All content successfully removed",
            bool(remains.counts),
        ),
        _condition(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain" if remains.finalizers else "ContentHasNoFinalizers",
            "Some content in the namespace has finalizers remaining: "
            + ", ".join(f"{name} in {n} resource instances" for name, n in sorted(remains.finalizers.items()))
            if remains.finalizers
            else "All content-preserving finalizers finished",
            bool(remains.finalizers),
        ),
    ]


def _condition(type: str, reason: str, message: str, failing: bool) -> Object:
    return {"type": type, "status": "True" if failing else "False", "reason": reason, "message": message}
