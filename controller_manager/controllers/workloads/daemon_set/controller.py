"""DaemonSet: compare nodes with pods, make what is missing, delete what must not be there, update in turn.

The pods are pinned to their node by affinity and bound by the scheduler like all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller_manager.adoption import candidates
from controller_manager.controllers.workloads.daemon_set import update
from controller_manager.pod_control import (
    BURST,
    failures_in,
    is_namespace_terminating,
    slow_start,
)
from controller_manager.pod_owner import PodOwner
from controller_manager.revisions import Revisions, belongs_to, ordered
from kubarium.api.apps import daemon_set as daemons
from kubarium.api.apps.controller_revision import REVISION_LABEL
from kubarium.api.core import taints
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.template import generate_name_for, pod_from
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.labels import Selector
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
    uid_of,
)
from kubarium.client.controller import Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

FAILED_PODS = Backoff(initial=1.0, maximum=900.0)  # a pod that fails again and again is replaced ever later


@dataclass
class Wanted:
    """What one pass found out."""

    create_on: list[str] = field(default_factory=list)  # nodes
    delete: list[Object] = field(default_factory=list)
    again_after: float | None = None  # seconds


class DaemonSetController(PodOwner):
    """Keeps one pod on each node that fits."""

    name = "daemonset-controller"
    api_version, plural, kind = "apps/v1", "daemonsets", "DaemonSet"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 2
    ) -> None:
        self.nodes = informers.informer("v1", "nodes").lister
        self.history = informers.informer("apps/v1", "controllerrevisions").lister
        self.revisions = Revisions(
            client.resource("apps/v1", "controllerrevisions"), self.api_version, self.kind, REVISION_LABEL
        )
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}  # (set uid, node) -> count, since
        super().__init__(client, informers, clock, events, workers=workers)

    def selector_of(self, owner: Object) -> Selector:
        return daemons.selector_of(owner)

    def watches(self) -> Sequence[Watch]:
        return [
            *super().watches(),
            Watch("v1", "nodes", keys=self._everyone, changed=_node_changed),
            Watch("apps/v1", "controllerrevisions", keys=lambda revision: ()),
        ]

    def _everyone(self, node: Object) -> Iterable[ObjectKey]:
        return [key_of(one) for one in self.owners.list()]

    async def reconcile(self, key: ObjectKey) -> float | None:
        daemon_set = self.owners.get(key)
        if daemon_set is None:
            self.expectations.forget(key)
            return None
        if daemons.selector_of(daemon_set).is_everything:
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self.events.event(daemon_set, "Warning", "SelectingAll", text)
            return None
        if is_deleting(daemon_set):
            return None
        digest, collisions = await self._revision(daemon_set)
        nodes = sorted(self.nodes.list(), key=name_of)
        failure: Exception | None = None
        again: float | None = None
        if self.expectations.met(key):
            pods = await self._by_node(daemon_set)
            wanted = self._manage(daemon_set, pods, nodes, digest)
            if (
                not wanted.create_on
                and not wanted.delete
                and daemons.strategy_of(daemon_set) == "RollingUpdate"
            ):
                running = [name_of(node) for node in nodes if daemons.fits(daemon_set, node)[0]]
                step = update.rolling_step(daemon_set, pods, running, digest, self.clock.now())
                wanted.create_on, wanted.delete = step.create_on, step.delete
            again = wanted.again_after
            failure = await self._carry_out(daemon_set, wanted, digest)
            await self._trim(daemon_set, pods)
        pods = await self._by_node(daemon_set)
        await self._write_status(daemon_set, pods, nodes, digest, collisions)
        if failure is not None:
            raise failure
        waits = [
            w for w in (again, _seconds_to_availability(daemon_set, pods, self.clock.now())) if w is not None
        ]
        return min(waits) if waits else None

    async def _by_node(self, daemon_set: Object) -> dict[str, list[Object]]:
        """The set's pods by the node they are on or meant for, those that are there before others, oldest first."""
        found_pods = candidates(self.pods, daemon_set)
        claimed = await self.adoption.claim(daemon_set, daemons.selector_of(daemon_set), found_pods)
        found: dict[str, list[Object]] = {}
        for pod in sorted(claimed, key=_scheduled_and_created):
            found.setdefault(daemons.node_of(pod), []).append(pod)
        return found

    # ---- what should be

    def _manage(
        self, daemon_set: Object, pods: dict[str, list[Object]], nodes: Sequence[Object], digest: str
    ) -> Wanted:
        wanted = Wanted()
        for node in nodes:
            should_run, may_stay = daemons.fits(daemon_set, node)
            here = pods.get(name_of(node), [])
            if should_run and not here:
                wanted.create_on.append(name_of(node))
            elif may_stay:
                self._prune(daemon_set, name_of(node), here, digest, wanted)
            else:
                wanted.delete += [pod for pod in here if not is_deleting(pod)]
        known = {name_of(node) for node in nodes}
        for node_name, here in pods.items():
            if node_name and node_name not in known:  # pods that wait for a node that has gone
                wanted.delete += [p for p in here if not is_deleting(p) and not pod_status.is_scheduled(p)]
        return wanted

    def _prune(
        self, daemon_set: Object, node: str, here: Sequence[Object], digest: str, wanted: Wanted
    ) -> None:
        """Of the pods on one node at most one stays, or an old and a new one while an update surges."""
        running: list[Object] = []
        for pod in here:
            if is_deleting(pod):
                continue
            if not pod_status.is_terminal(pod):
                running.append(pod)
                continue
            wait = self._patience(daemon_set, node)
            if wait > 0:
                wanted.again_after = min(wanted.again_after or wait, wait)
                continue
            self._say_ended(daemon_set, node, pod)
            wanted.delete.append(pod)
        surge, _ = daemons.surge_and_unavailable(daemon_set, len(self.nodes))
        if surge and daemons.strategy_of(daemon_set) == "RollingUpdate":
            old, new = update.old_and_new(running, digest)
            if old is not None and new is not None:
                wanted.delete += [pod for pod in running if pod is not old and pod is not new]
                wanted.delete += [] if pod_status.is_ready(old) else [old]  # it is of no more use
                return
        wanted.delete += running[1:]

    def _say_ended(self, daemon_set: Object, node: str, pod: Object) -> None:
        failed = pod_status.phase_of(pod) == pod_status.FAILED
        word, verb = ("failed", "kill") if failed else ("succeeded", "delete")
        text = f"Found {word} daemon pod {key_of(pod)} on node {node}, will try to {verb} it"
        reason = "FailedDaemonPod" if failed else "SucceededDaemonPod"
        self.events.event(daemon_set, "Warning" if failed else "Normal", reason, text)

    def _patience(self, daemon_set: Object, node: str) -> float:
        """Seconds until an ended pod of this node may be replaced; each call that answers 0 counts as a try."""
        key, now = (uid_of(daemon_set), node), self.clock.monotonic()
        count, since = self._failures.get(key, (0, 0.0))
        delay = FAILED_PODS.delay(count - 1) if count else 0.0
        if now - since > 2 * FAILED_PODS.maximum:
            count, delay = 0, 0.0
        if count and now - since < delay:
            return delay - (now - since)
        self._failures[key] = (count + 1, now)
        return 0.0

    # ---- effects

    async def _carry_out(self, daemon_set: Object, wanted: Wanted, digest: str) -> Exception | None:
        key = key_of(daemon_set)
        create_on, delete = wanted.create_on[:BURST], wanted.delete[:BURST]
        if not create_on and not delete:
            return None
        self.expectations.expect(key, creations=len(create_on), deletions=[uid_of(pod) for pod in delete])

        async def create(index: int) -> None:
            try:
                await self.control.create(daemon_set, self._new_pod(daemon_set, create_on[index], digest))
            except errors.StatusError as error:
                if not is_namespace_terminating(error):
                    raise
                self.expectations.creation_observed(key)

        done, failure = await slow_start(len(create_on), create)
        for _ in range(len(create_on) - done):
            self.expectations.creation_observed(key)

        async def remove(pod: Object) -> None:
            with self.expectations.deleting(key, uid_of(pod)):
                await self.control.delete(daemon_set, pod)

        failures = failures_in(await asyncio.gather(*map(remove, delete), return_exceptions=True))
        return failure or (failures[0] if failures else None)

    def _new_pod(self, daemon_set: Object, node: str, digest: str) -> Object:
        reference = owners.owner_reference_to(daemon_set, api_version="apps/v1", kind="DaemonSet")
        pod = pod_from(daemons.template_of(daemon_set), reference, generate_name_for(name_of(daemon_set)))
        labels = {**labels_of(pod), REVISION_LABEL: digest}
        if generation := daemons.template_generation_of(daemon_set):
            labels[daemons.GENERATION_LABEL] = generation
        pod["metadata"]["labels"] = labels
        pod["spec"]["affinity"] = daemons.pin_to(pod["spec"], node)
        pod["spec"]["tolerations"] = daemons.with_daemon_tolerations(pod["spec"])
        return pod

    async def _revision(self, daemon_set: Object) -> tuple[str, int]:
        """The short name of the present template, and the count of name collisions."""
        history = self._history(daemon_set)
        collisions = status_of(daemon_set).get("collisionCount") or 0
        data = {"spec": {"template": {**daemons.template_of(daemon_set), "$patch": "replace"}}}
        labels = labels_of(daemons.template_of(daemon_set))
        current, collisions = await self.revisions.current(daemon_set, history, data, labels, collisions)
        return labels_of(current)[REVISION_LABEL], collisions

    def _history(self, daemon_set: Object) -> list[Object]:
        found = self.history.list(namespace_of(daemon_set))
        return ordered(one for one in found if belongs_to(one, daemon_set))

    async def _trim(self, daemon_set: Object, pods: dict[str, list[Object]]) -> None:
        history = self._history(daemon_set)
        used = {labels_of(pod).get(REVISION_LABEL) for here in pods.values() for pod in here}
        names = [name_of(one) for one in history if labels_of(one).get(REVISION_LABEL) in used]
        names += [name_of(one) for one in history[-1:]]
        await self.revisions.trim(history, daemons.revision_history_limit_of(daemon_set), names)

    async def _write_status(
        self,
        daemon_set: Object,
        pods: dict[str, list[Object]],
        nodes: Sequence[Object],
        digest: str,
        collisions: int,
    ) -> None:
        status = next_status(daemon_set, pods, nodes, digest, collisions, self.clock.now())
        if status != status_of(daemon_set):
            changed = copy(daemon_set)
            changed["status"] = status
            await self.owner_client.update_status(changed)

    # ---- expectations


def next_status(
    daemon_set: Object,
    pods: dict[str, list[Object]],
    nodes: Sequence[Object],
    digest: str,
    collisions: int,
    now: datetime,
) -> Object:
    """The counts."""
    count = dict.fromkeys(("desired", "current", "misscheduled", "ready", "available", "updated"), 0)
    minimum = daemons.min_ready_seconds_of(daemon_set)
    for node in nodes:
        should_run, _ = daemons.fits(daemon_set, node)
        here = pods.get(name_of(node), [])
        if not should_run:
            count["misscheduled"] += bool(here)
            continue
        count["desired"] += 1
        if not here:
            continue
        count["current"] += 1
        oldest = here[0]  # speaks for the node, also while an update surges
        count["updated"] += update.is_new(oldest, digest)
        count["ready"] += pod_status.is_ready(oldest)
        count["available"] += pod_status.is_available(oldest, minimum, now)
    status: Object = {
        "currentNumberScheduled": count["current"],
        "numberMisscheduled": count["misscheduled"],
        "desiredNumberScheduled": count["desired"],
        "numberReady": count["ready"],
    }
    optional = {
        "observedGeneration": generation_of(daemon_set),
        "updatedNumberScheduled": count["updated"],
        "numberAvailable": count["available"],
        "numberUnavailable": count["desired"] - count["available"],
        "collisionCount": collisions,
        "conditions": status_of(daemon_set).get("conditions"),
    }
    return status | {key: value for key, value in optional.items() if value}


def _node_changed(old: Object, new: Object) -> bool:
    def view(node: Object) -> tuple[object, ...]:
        found = [(t.get("key"), t.get("value"), t.get("effect")) for t in taints.taints_of(node)]
        return labels_of(node), found, spec_of(node).get("unschedulable")

    return view(old) != view(new)


def _scheduled_and_created(pod: Object) -> tuple[bool, str, str]:
    created = pod["metadata"].get("creationTimestamp") or ""
    return not pod_status.is_scheduled(pod), created, name_of(pod)


def _seconds_to_availability(
    daemon_set: Object, pods: dict[str, list[Object]], now: datetime
) -> float | None:
    minimum = daemons.min_ready_seconds_of(daemon_set)
    if not minimum:
        return None
    ready = [since for here in pods.values() for pod in here if (since := pod_status.ready_since(pod))]
    waits = [(since + timedelta(seconds=minimum) - now).total_seconds() for since in ready]
    ahead = [wait for wait in waits if wait > 0]
    return min(ahead) + 0.001 if ahead else None
