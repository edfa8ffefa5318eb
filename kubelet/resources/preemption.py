"""Pure: a critical pod lacks something -> which pods of the node make room for it.

As few as will do, and rather a best-effort pod than a burstable one, rather that than a guaranteed one.
Source: https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubarium.api.core.pod import resources
from kubarium.apimachinery.object import Object, spec_of
from kubelet.resources import ranking

REASON = "Preempting"
MESSAGE = "Preempted in order to admit critical pod"
CONDITION_MESSAGE = "Pod was preempted by Kubelet to accommodate a critical pod."

Missing = Mapping[str, int]


class NobodyToPreempt(Exception):
    """Not even all pods that are less important would make enough room."""


def choose(pod: Object, others: Iterable[Object], missing: Missing) -> list[Object]:
    """The pods that go, so that nothing is missing. Raises NobodyToPreempt."""
    by_class: dict[str, list[Object]] = {"BestEffort": [], "Burstable": [], "Guaranteed": []}
    for other in others:
        if _may_go_for(pod, other):
            by_class[resources.qos_class(other)].append(other)
    cheap, middle, dear = by_class.values()
    if left := _without(missing, [*cheap, *middle, *dear]):
        raise _nobody(left)
    dear = _fewest(dear, _without(missing, [*cheap, *middle]))
    middle = _fewest(middle, _without(missing, [*cheap, *dear]))
    cheap = _fewest(cheap, _without(missing, [*middle, *dear]))
    return [*cheap, *middle, *dear]


def _may_go_for(pod: Object, other: Object) -> bool:
    if ranking.is_critical(pod) and not ranking.is_critical(other):
        return True
    mine, theirs = spec_of(pod).get("priority"), spec_of(other).get("priority")
    return mine is not None and theirs is not None and mine > theirs


def _fewest(pods: Sequence[Object], missing: Missing) -> list[Object]:
    """One after the other the pod that leaves the least of what is missing; of equals the one that asks for less."""

    def left_by(pod: Object) -> tuple[float, int, int]:
        asked = _requests(pod)
        lacks = ((amount - asked.get(resource, 0)) / amount for resource, amount in missing.items())
        return sum(max(0.0, part) ** 2 for part in lacks), asked.get("memory", 0), asked.get("cpu", 0)

    waiting, chosen = list(pods), []
    while missing:
        best = min(waiting, key=left_by)
        waiting.remove(best)
        chosen.append(best)
        missing = _without(missing, [best])
    return chosen


def _without(missing: Missing, pods: Iterable[Object]) -> dict[str, int]:
    left = dict(missing)
    for pod in pods:
        asked = _requests(pod)
        left = {resource: amount - asked.get(resource, 0) for resource, amount in left.items()}
    return {resource: amount for resource, amount in left.items() if amount > 0}


def _requests(pod: Object) -> dict[str, int]:
    return {**resources.requests_of(pod), "pods": 1}


def _nobody(left: Missing) -> NobodyToPreempt:
    listed = "".join(f"(res: {resource}, q: {amount}), " for resource, amount in left.items())
    return NobodyToPreempt(
        "preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: "
        f"[{listed}]"
    )
