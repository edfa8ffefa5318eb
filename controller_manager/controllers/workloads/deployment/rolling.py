"""Pure arithmetic of a rollout: how large each ReplicaSet should be next.

    replicas ≤ wanted + maxSurge          never more pods than this
    available ≥ wanted - maxUnavailable   never fewer available pods than this

Every function takes ReplicaSets as they are and returns `Resize` values; `controller.py` carries them out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kubarium.api.apps import deployment as deployments
from kubarium.api.apps import replica_set as replica_sets
from kubarium.apimachinery.object import Object, name_of


@dataclass(frozen=True)
class Resize:
    """Give this ReplicaSet that many replicas."""

    replica_set: Object
    replicas: int


def total_replicas(sets: Sequence[Object]) -> int:
    """How many pods all these ReplicaSets want together."""
    return sum(replica_sets.replicas_of(one) for one in sets)


def total_available(sets: Sequence[Object]) -> int:
    """How many pods of all these ReplicaSets are available."""
    return sum(replica_sets.available_replicas_of(one) for one in sets)


def active(sets: Sequence[Object]) -> list[Object]:
    """Those that want at least one pod."""
    return [one for one in sets if replica_sets.replicas_of(one) > 0]


def oldest_first(sets: Sequence[Object]) -> list[Object]:
    """In the order in which they were made."""
    return sorted(sets, key=lambda one: (replica_sets.created_at(one), name_of(one)))


def size_of_new(deployment: Object, sets: Sequence[Object], new_size: int) -> int:
    """How many replicas the new ReplicaSet may have now. `sets` holds all, `new_size` is its present size."""
    wanted = deployments.replicas_of(deployment)
    if deployments.strategy_of(deployment) == deployments.RECREATE:
        return wanted
    room = wanted + deployments.max_surge(deployment) - total_replicas(sets)
    if room <= 0:
        return new_size
    return new_size + min(room, wanted - new_size)


def step_new(deployment: Object, new: Object, sets: Sequence[Object]) -> Resize | None:
    """The next size of the new ReplicaSet, if it changes."""
    wanted, size = deployments.replicas_of(deployment), replica_sets.replicas_of(new)
    if size == wanted:
        return None
    target = wanted if size > wanted else size_of_new(deployment, sets, size)
    return Resize(new, target) if target != size else None


def step_old(deployment: Object, new: Object, old: Sequence[Object]) -> list[Resize]:
    """How far the old ReplicaSets may shrink now: first pods that are not available anyway, then good ones."""
    if total_replicas(old) == 0:
        return []
    min_available = deployments.replicas_of(deployment) - deployments.max_unavailable(deployment)
    new_unavailable = replica_sets.replicas_of(new) - replica_sets.available_replicas_of(new)
    spare = total_replicas([*old, new]) - min_available - new_unavailable
    if spare <= 0:
        return []
    sizes = {id(one): replica_sets.replicas_of(one) for one in old}
    ordered = oldest_first(old)
    _drop_unavailable(ordered, sizes, spare)
    _drop_available(ordered, sizes, total_available([*old, new]) - min_available)
    return [Resize(one, sizes[id(one)]) for one in ordered if sizes[id(one)] != replica_sets.replicas_of(one)]


def _drop_unavailable(ordered: Sequence[Object], sizes: dict[int, int], spare: int) -> None:
    for one in ordered:
        unavailable = sizes[id(one)] - replica_sets.available_replicas_of(one)
        step = min(spare, unavailable)
        if step > 0:
            sizes[id(one)] -= step
            spare -= step


def _drop_available(ordered: Sequence[Object], sizes: dict[int, int], spare: int) -> None:
    for one in ordered:
        step = min(spare, sizes[id(one)])
        if step > 0:
            sizes[id(one)] -= step
            spare -= step


def is_scaling(deployment: Object, sets: Sequence[Object]) -> bool:
    """Has `spec.replicas` changed since the ReplicaSets were last sized?"""
    wanted = deployments.replicas_of(deployment)
    return any(
        replica_sets.int_annotation(one, deployments.DESIRED_REPLICAS, wanted) != wanted
        for one in active(sets)
    )


def is_saturated(deployment: Object, new: Object | None) -> bool:
    """Has the new ReplicaSet everything it should have?"""
    wanted = deployments.replicas_of(deployment)
    return (
        new is not None
        and replica_sets.replicas_of(new) == wanted
        and replica_sets.int_annotation(new, deployments.DESIRED_REPLICAS, -1) == wanted
        and replica_sets.available_replicas_of(new) == wanted
    )


def active_or_latest(new: Object | None, old: Sequence[Object]) -> Object | None:
    """The only active ReplicaSet; the newest one when none is active; nothing when several are."""
    running = active([*old, *([new] if new is not None else [])])
    if len(running) > 1:
        return None
    if running:
        return running[0]
    return new if new is not None else (oldest_first(old)[-1] if old else None)


def proportional(deployment: Object, sets: Sequence[Object]) -> list[Resize]:
    """Share a change of `spec.replicas` among several active ReplicaSets by their size.

    The largest takes what rounding leaves over. Every active set is in the answer, changed or not: its
    annotations must be brought up to date in any case.
    """
    running = active(sets)
    wanted, surge = deployments.replicas_of(deployment), deployments.max_surge(deployment)
    to_add = (wanted + surge if wanted > 0 else 0) - total_replicas(running)
    ordered = _by_size(running, newer_first=to_add > 0)
    sizes, added = [], 0
    for one in ordered:
        share = _share(deployment, one, to_add, added, wanted + surge)
        sizes.append(replica_sets.replicas_of(one) + share)
        added += share
    if sizes and to_add != added:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return [Resize(one, size) for one, size in zip(ordered, sizes, strict=True)]


def _by_size(sets: Sequence[Object], *, newer_first: bool) -> list[Object]:
    by_age = oldest_first(sets)
    if newer_first:
        by_age.reverse()
    return sorted(by_age, key=lambda one: -replica_sets.replicas_of(one))


def _share(deployment: Object, one: Object, to_add: int, added: int, maximum: int) -> int:
    size = replica_sets.replicas_of(one)
    if size == 0 or to_add in (0, added):
        return 0
    if deployments.replicas_of(deployment) == 0:
        fraction = -size
    else:
        before = replica_sets.int_annotation(one, deployments.MAX_REPLICAS)
        before = before or (deployment.get("status") or {}).get("replicas") or maximum
        fraction = _round(size * maximum / before) - size
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)


def _round(value: float) -> int:
    return math.floor(value + 0.5)
