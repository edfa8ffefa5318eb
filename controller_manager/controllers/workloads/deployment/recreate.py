"""Pure: the Recreate strategy. All down, then all up; never two versions side by side."""

from __future__ import annotations

from collections.abc import Sequence

from controller_manager.controllers.workloads.deployment.rolling import Resize, active
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import owners
from kubarium.apimachinery.object import Object, status_of, uid_of


def all_down(old: Sequence[Object]) -> list[Resize]:
    """Every old ReplicaSet that still wants pods goes to none."""
    return [Resize(one, 0) for one in active(old)]


def old_pods_running(new: Object | None, old: Sequence[Object], pods: Sequence[Object]) -> bool:
    """Is there still a pod of an old ReplicaSet that has not ended? Pods on their way out count too.

    The ReplicaSets may know of pods that the cache does not show yet.
    """
    if any(status_of(one).get("replicas") for one in old):
        return True
    new_uid = uid_of(new) if new is not None else None
    for pod in pods:
        owner = owners.controller_of(pod)
        if owner is not None and owner.get("uid") != new_uid and not pod_status.is_terminal(pod):
            return True
    return False
