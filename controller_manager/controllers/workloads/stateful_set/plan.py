"""Pure: pods as they are → the next step.

    ordered (the default)   0, 1, 2, …: each is made when all before it are available; the last goes first
    parallel                all at once
    update                  from the highest number down to the partition, `maxUnavailable` at a time

A pod that has ended is deleted so that it can be made anew. The plan says what to do now; whoever carries it out comes
back when something has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controller_manager.controllers.workloads.stateful_set import pods as identity
from kubarium.api.apps import stateful_set as sets
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import Object, generation_of, is_deleting, status_of


@dataclass(frozen=True)
class Revision:
    """A template and the name it is stored under."""

    name: str
    template: Object


@dataclass
class Plan:
    """What to do now, in this order."""

    repair: list[tuple[Object, int]] = field(default_factory=list)  # labels and claims of pods that stay
    create: list[tuple[int, Revision]] = field(default_factory=list)
    restart: list[Object] = field(default_factory=list)  # ended pods: deleted to be made again
    condemn: list[Object] = field(default_factory=list)  # pods beyond the wanted number
    update: list[Object] = field(default_factory=list)  # pods of an old revision


def make_plan(
    stateful_set: Object, pods: Sequence[Object], current: Revision, update: Revision, now: datetime
) -> Plan:
    """The next step."""
    plan = Plan()
    ordered = not sets.is_parallel(stateful_set)
    first = sets.start_of(stateful_set)
    wanted = range(first, first + sets.replicas_of(stateful_set))
    by_ordinal = {number: pod for pod in pods if (number := sets.ordinal_of(pod, stateful_set)) is not None}
    if is_deleting(stateful_set):
        return plan
    if not _fill(plan, stateful_set, wanted, by_ordinal, current, update, ordered, now):
        return plan
    condemned = [by_ordinal[number] for number in sorted(by_ordinal, reverse=True) if number not in wanted]
    if not _condemn(plan, stateful_set, condemned, by_ordinal, ordered, now):
        return plan
    if sets.strategy_of(stateful_set) == "RollingUpdate":
        _update(plan, stateful_set, wanted, by_ordinal, update, now)
    return plan


def _healthy(stateful_set: Object, pod: Object, now: datetime) -> bool:
    running = pod_status.phase_of(pod) == pod_status.RUNNING and not is_deleting(pod)
    return running and pod_status.is_available(pod, sets.min_ready_seconds_of(stateful_set), now)


def _fill(
    plan: Plan,
    stateful_set: Object,
    wanted: range,
    by_ordinal: dict[int, Object],
    current: Revision,
    update: Revision,
    ordered: bool,
    now: datetime,
) -> bool:
    """Make what is missing. True when the next stage may begin."""
    for number in wanted:
        pod = by_ordinal.get(number)
        if pod is None:
            plan.create.append((number, revision_for(stateful_set, number, current, update)))
            if ordered:
                return False
            continue
        if pod_status.is_terminal(pod):
            if not is_deleting(pod):
                plan.restart.append(pod)
            if ordered:
                return False
            continue
        plan.repair.append((pod, number))
        if ordered and not _healthy(stateful_set, pod, now):
            return False
    return not plan.create and not plan.restart


def revision_for(stateful_set: Object, ordinal: int, current: Revision, update: Revision) -> Revision:
    """Which template a pod that is made now gets."""
    if sets.strategy_of(stateful_set) == "RollingUpdate":
        first, partition = sets.start_of(stateful_set), sets.partition_of(stateful_set)
        keep = sets.current_replicas_of(stateful_set) if partition is None else partition
        if ordinal < first + keep:
            return current
    return update


def _condemn(
    plan: Plan,
    stateful_set: Object,
    condemned: Sequence[Object],
    by_ordinal: dict[int, Object],
    ordered: bool,
    now: datetime,
) -> bool:
    """Take away what is too many, the highest number first. True when the next stage may begin."""
    unhealthy = [n for n in sorted(by_ordinal) if not _healthy(stateful_set, by_ordinal[n], now)]
    first_unhealthy = by_ordinal[unhealthy[0]] if unhealthy else None
    for pod in condemned:
        if is_deleting(pod):
            if ordered:
                return False
            continue
        if ordered and pod is not first_unhealthy and not _healthy(stateful_set, pod, now):
            return False
        plan.condemn.append(pod)
        if ordered:
            return False
    return True


def _update(
    plan: Plan,
    stateful_set: Object,
    wanted: range,
    by_ordinal: dict[int, Object],
    update: Revision,
    now: datetime,
) -> None:
    lowest = wanted.start + (sets.partition_of(stateful_set) or 0)
    unavailable = sum(
        1 for number in wanted if number in by_ordinal and not _healthy(stateful_set, by_ordinal[number], now)
    )
    room = sets.max_unavailable_of(stateful_set) - unavailable
    for number in reversed(range(max(lowest, wanted.start), wanted.stop)):
        pod = by_ordinal.get(number)
        if pod is None or is_deleting(pod) or identity.revision_of(pod) == update.name:
            continue
        broken = not _healthy(stateful_set, pod, now)
        if broken and room <= 0 and not plan.update:
            # An unhealthy pod of the old revision is replaced only in its turn: all above it must be well.
            above = [by_ordinal[n] for n in range(number + 1, wanted.stop) if n in by_ordinal]
            if all(_healthy(stateful_set, one, now) for one in above):
                plan.update.append(pod)
            return
        if room <= 0:
            return
        plan.update.append(pod)
        room -= 0 if broken else 1


def next_status(
    stateful_set: Object,
    pods: Sequence[Object],
    current: Revision,
    update: Revision,
    collisions: int,
    now: datetime,
) -> Object:
    """The counts, and whether an update is complete."""
    living = [pod for pod in pods if pod_status.is_active(pod)]
    ready = [p for p in living if pod_status.phase_of(p) == pod_status.RUNNING and pod_status.is_ready(p)]
    minimum = sets.min_ready_seconds_of(stateful_set)
    status: Object = {
        "observedGeneration": generation_of(stateful_set),
        "replicas": len([pod for pod in pods if not pod_status.is_terminal(pod)]),
        "readyReplicas": len(ready),
        "currentReplicas": len([pod for pod in living if identity.revision_of(pod) == current.name]),
        "updatedReplicas": len([pod for pod in living if identity.revision_of(pod) == update.name]),
        "currentRevision": current.name,
        "updateRevision": update.name,
        "collisionCount": collisions,
        "availableReplicas": len([pod for pod in ready if pod_status.is_available(pod, minimum, now)]),
    }
    if (
        sets.strategy_of(stateful_set) == "RollingUpdate"
        and status["updatedReplicas"] == status["replicas"]
        and status["readyReplicas"] == status["replicas"]
    ):
        status["currentReplicas"] = status["updatedReplicas"]
        status["currentRevision"] = status["updateRevision"]
    if conditions := status_of(stateful_set).get("conditions"):
        status["conditions"] = conditions
    zero = ("readyReplicas", "currentReplicas", "updatedReplicas")
    return {key: value for key, value in status.items() if value or key not in zero}
