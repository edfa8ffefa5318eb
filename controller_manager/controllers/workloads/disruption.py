"""PodDisruptionBudget: how many pods may be evicted now.

Source: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors, int_or_string, labels, owners, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    generation_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

STALE_SECONDS = 120  # after that a disruption that was told of has not come
EVICTION_SECONDS = 120  # after that an evicted pod that has not gone counts as healthy again

POD = "pod:"
"""Keys with this prefix are of pods that were told to be disrupted; the others are of budgets."""

SCALED = {
    ("apps", "ReplicaSet"): ("apps/v1", "replicasets"),
    ("apps", "StatefulSet"): ("apps/v1", "statefulsets"),
    ("", "ReplicationController"): ("v1", "replicationcontrollers"),
}
"""Owners whose `spec.replicas` says how many pods are expected."""


UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
    'set ".spec.minAvailable" field of the PDB to an integer value.'
)


@dataclass(frozen=True)
class Counts:
    """What a budget's arithmetic yields."""

    expected: int
    desired: int
    unmanaged: bool = False


class NotScalable(Exception):
    """A pod has no owner that says how many pods there should be."""


def disruption_of(pod: Object) -> Object | None:
    """The condition that a living pod is about to be disrupted. The kubelet's own may take as long as it likes."""
    told = pod_status.condition(pod, pod_status.DISRUPTION_TARGET)
    if told is None or told.get("status") != "True" or told.get("reason") == "TerminationByKubelet":
        return None
    return None if is_deleting(pod) or pod_status.is_terminal(pod) else told


def _if_disrupted(pod: Object) -> Iterable[ObjectKey]:
    return () if disruption_of(pod) is None else (ObjectKey(namespace_of(pod), POD + name_of(pod)),)


class DisruptionController(Controller):
    """Keeps `status.disruptionsAllowed` of every budget."""

    name = "disruption-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock, events: EventRecorder) -> None:
        self.events = events
        self.budgets = informers.informer("policy/v1", "poddisruptionbudgets").lister
        self.pods = informers.informer("v1", "pods").lister
        self.owners = {key: informers.informer(*place).lister for key, place in SCALED.items()}
        self.deployments = informers.informer("apps/v1", "deployments").lister
        self.resource = client.resource("policy/v1", "poddisruptionbudgets")
        self.pod_client = client.resource("v1", "pods")
        self.root = client
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        nobody = [Watch(*place, keys=lambda obj: ()) for place in SCALED.values()]
        return [
            Watch("policy/v1", "poddisruptionbudgets"),
            Watch("v1", "pods", keys=self._budgets_of),
            Watch("v1", "pods", keys=_if_disrupted),
            Watch("apps/v1", "deployments", keys=lambda obj: ()),
            *nobody,
        ]

    def _budgets_of(self, pod: Object) -> Iterable[ObjectKey]:
        found = self.budgets.list(namespace_of(pod))
        return [key_of(one) for one in found if selector_of(one).matches(labels_of(pod))]

    async def reconcile(self, key: ObjectKey) -> float | None:
        if key.name.startswith(POD):
            pod = self.pods.get(key.namespace, key.name.removeprefix(POD))
            return await self._spare(pod) if pod is not None else None
        budget = self.budgets.get(key)
        if budget is None or is_deleting(budget):
            return None
        pods = self.pods.list(key.namespace, selector_of(budget))
        if not pods:
            self.events.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            counts = await self._count(budget, pods)
        except (NotScalable, ValueError) as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self.events.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
            await self._write(budget, failed_status(budget, str(error), self.clock.now()))
            return None
        if counts.unmanaged:
            text = UNMANAGED.format(labels.in_go(spec_of(budget).get("selector")))
            self.events.event(budget, "Warning", "UnmanagedPods", text)
        status, again = next_status(budget, pods, counts, self.clock.now())
        await self._write(budget, status)
        return again

    async def _spare(self, pod: Object) -> float | None:
        """Who should have been disrupted and still is not being deleted will not be: say so."""
        told = disruption_of(pod)
        if told is None:
            return None
        wait = (
            time.parse_time(told["lastTransitionTime"]) - self.clock.now()
        ).total_seconds() + STALE_SECONDS
        if wait > 0:
            return wait
        log.info("pod %s was not disrupted after all", key_of(pod))
        changed = copy(pod)
        spared = {**told, "status": "False", "lastTransitionTime": time.format_time(self.clock.now())}
        conditions.set_condition(
            changed["status"]["conditions"], pod_status.observed(pod, spared), self.clock.now()
        )
        await self.pod_client.update_status(changed)
        return None

    async def _write(self, budget: Object, status: Object) -> None:
        if status == status_of(budget):
            return
        changed = copy(budget)
        changed["status"] = status
        await self.resource.update_status(changed)

    async def _count(self, budget: Object, pods: Sequence[Object]) -> Counts:
        spec = spec_of(budget)
        if spec.get("maxUnavailable") is not None:
            expected = await self._expected(pods)
            missing = int_or_string.scaled(spec["maxUnavailable"], expected, round_up=True)
            return Counts(expected, max(0, expected - missing), _has_unmanaged(pods))
        wanted = spec.get("minAvailable")
        if isinstance(wanted, int):
            return Counts(len(pods), wanted)
        if wanted is None:
            return Counts(len(pods), 0)
        expected = await self._expected(pods)
        return Counts(expected, int_or_string.scaled(wanted, expected, round_up=True), _has_unmanaged(pods))

    async def _expected(self, pods: Sequence[Object]) -> int:
        """How many pods their owners want together; pods without an owner do not count."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = owners.controller_of(pod)
            if owner is None or owner["uid"] in wanted:
                continue
            top, replicas = await self._scale_of(namespace_of(pod), owner)
            wanted[owner["uid"]] = 0  # seen
            wanted[top] = replicas  # the ReplicaSets of one Deployment share its number
        return sum(wanted.values())

    async def _scale_of(self, namespace: str, owner: Object) -> tuple[str, int]:
        """The uid of whoever decides on the number, and the number."""
        group = (owner.get("apiVersion") or "").rpartition("/")[0]
        lister = self.owners.get((group, owner["kind"]))
        if lister is None:
            return await self._scale_subresource(namespace, owner)
        found = lister.get(namespace, owner["name"])
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            return owner["uid"], 0
        above = owners.controller_of(found)
        if above is not None and above.get("kind") == "Deployment":
            deployment = self.deployments.get(namespace, above["name"])
            if deployment is not None:
                return above["uid"], int(spec_of(deployment).get("replicas") or 0)
        return owner["uid"], int(spec_of(found).get("replicas") or 0)

    async def _scale_subresource(self, namespace: str, owner: Object) -> tuple[str, int]:
        """Custom kinds may have a scale; those that have none cannot be counted."""
        plural = owner["kind"].lower() + "s"
        resource = self.root.resource(owner["apiVersion"], plural)
        try:
            scale = await resource.get(owner["name"], namespace, subresource="scale")
        except errors.StatusError as error:
            text = (
                f"{plural}.{owner['apiVersion'].rpartition('/')[0]} does not implement the scale subresource"
            )
            raise NotScalable(text) from error
        return owner["uid"], int(spec_of(scale).get("replicas") or 0)


def _has_unmanaged(pods: Iterable[Object]) -> bool:
    return any(owners.controller_of(pod) is None for pod in pods)


def selector_of(budget: Object) -> labels.Selector:
    """Which pods it protects; an empty selector means all of the namespace."""
    return labels.from_label_selector(spec_of(budget).get("selector"))


def next_status(
    budget: Object, pods: Sequence[Object], counts: Counts, now: datetime
) -> tuple[Object, float | None]:
    """The status, and the seconds after which an eviction under way must be looked at again."""
    disrupted, again = disrupted_pods(budget, pods, now)
    healthy = [
        pod
        for pod in pods
        if pod_status.is_ready(pod) and not is_deleting(pod) and name_of(pod) not in disrupted
    ]
    allowed = max(0, len(healthy) - counts.desired) if counts.expected > 0 else 0
    status: Object = {
        "observedGeneration": generation_of(budget),
        "disruptionsAllowed": allowed,
        "currentHealthy": len(healthy),
        "desiredHealthy": counts.desired,
        "expectedPods": counts.expected,
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    reason = "SufficientPods" if allowed > 0 else "InsufficientPods"
    status["conditions"] = _condition(budget, "True" if allowed > 0 else "False", reason, "", now)
    return status, again


def disrupted_pods(
    budget: Object, pods: Sequence[Object], now: datetime
) -> tuple[dict[str, str], float | None]:
    """Pods whose eviction was granted but has not happened yet."""
    recorded = status_of(budget).get("disruptedPods") or {}
    found: dict[str, str] = {}
    waits: list[float] = []
    for pod in pods:
        since = recorded.get(name_of(pod))
        if since is None or is_deleting(pod):
            continue
        left = (time.parse_time(since) + timedelta(seconds=EVICTION_SECONDS) - now).total_seconds()
        if left > 0:
            found[name_of(pod)] = since
            waits.append(left)
    return found, min(waits) if waits else None


def failed_status(budget: Object, message: str, now: datetime) -> Object:
    """Nothing may be evicted while the budget cannot be calculated."""
    status = copy(status_of(budget))
    status |= {"disruptionsAllowed": 0, "observedGeneration": generation_of(budget)}
    for field in ("currentHealthy", "desiredHealthy", "expectedPods"):
        status.setdefault(field, 0)
    status["conditions"] = _condition(budget, "False", "SyncFailed", message, now)
    return status


def _condition(budget: Object, value: str, reason: str, message: str, now: datetime) -> list[Object]:
    listed: list[Object] = copy({"of": status_of(budget).get("conditions") or []})["of"]
    new = {
        "type": "DisruptionAllowed",
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": generation_of(budget),
    }
    conditions.set_condition(listed, new, now)
    return listed
