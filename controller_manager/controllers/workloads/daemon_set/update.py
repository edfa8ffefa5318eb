"""Pure: the rolling update of a daemon, without or with surge.

without surge   old pods go, at most `maxUnavailable` nodes lack an available pod meanwhile
with surge      new pods come beside old ones on at most `maxSurge` nodes; an old one goes when the new is available
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubarium.api.apps import daemon_set as daemons
from kubarium.api.apps.controller_revision import REVISION_LABEL
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import Object, is_deleting, labels_of


@dataclass
class Step:
    """What an update does now."""

    delete: list[Object] = field(default_factory=list)
    create_on: list[str] = field(default_factory=list)  # nodes


def is_new(pod: Object, digest: str) -> bool:
    """Was the pod made from the present template?"""
    return labels_of(pod).get(REVISION_LABEL) == digest


def old_and_new(pods: Sequence[Object], digest: str) -> tuple[Object | None, Object | None]:
    """One node's pod of an old template and its pod of the present one; the pods come oldest first."""
    old = new = None
    for pod in pods:
        if is_new(pod, digest):
            new = new or pod
        else:
            old = old or pod
    return old, new


def rolling_step(
    daemon_set: Object,
    by_node: Mapping[str, Sequence[Object]],
    nodes: Sequence[str],
    digest: str,
    now: datetime,
) -> Step:
    """The next step. `nodes` are those that should run a pod."""
    surge, unavailable = daemons.surge_and_unavailable(daemon_set, len(nodes))
    if surge:
        return _with_surge(daemon_set, by_node, nodes, digest, surge, now)
    return _in_place(daemon_set, by_node, nodes, digest, unavailable, now)


def _available(daemon_set: Object, pod: Object, now: datetime) -> bool:
    return not is_deleting(pod) and pod_status.is_available(
        pod, daemons.min_ready_seconds_of(daemon_set), now
    )


def _in_place(
    daemon_set: Object,
    by_node: Mapping[str, Sequence[Object]],
    nodes: Sequence[str],
    digest: str,
    limit: int,
    now: datetime,
) -> Step:
    missing, broken, candidates = 0, [], []
    for node in nodes:
        old, new = old_and_new(by_node.get(node, ()), digest)
        if old is not None and new is not None:
            continue  # `manage` removes one of them
        pod = old or new
        if pod is None or not _available(daemon_set, pod, now):
            missing += 1
            if pod is not None and pod is old and not is_deleting(pod):
                broken.append(pod)
        elif pod is old:
            candidates.append(pod)
    return Step(delete=[*broken, *candidates[: max(0, limit - missing)]])


def _with_surge(
    daemon_set: Object,
    by_node: Mapping[str, Sequence[Object]],
    nodes: Sequence[str],
    digest: str,
    limit: int,
    now: datetime,
) -> Step:
    step, doubled = Step(), 0
    at_once: list[str] = []
    candidates: list[str] = []
    for node in nodes:
        old, new = old_and_new(by_node.get(node, ()), digest)
        if old is None:
            continue
        if new is None:
            if is_deleting(old):
                continue
            (candidates if _available(daemon_set, old, now) else at_once).append(node)
        elif _available(daemon_set, new, now):
            if not is_deleting(old):
                step.delete.append(old)
        else:
            doubled += 1
    step.create_on = [*at_once, *candidates[: max(0, limit - doubled)]]
    return step
