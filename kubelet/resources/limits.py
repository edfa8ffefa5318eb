"""Requests and limits -> weights, quotas and OOM scores.

Source: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubarium.api.core.pod import fields, resources
from kubarium.apimachinery.object import Object, spec_of

MIN_SHARES, MAX_SHARES = 2, 262144
PERIOD = 100_000  # microseconds, unless the kubelet is told another
MIN_QUOTA = 1000  # microseconds

GUARANTEED_SCORE = -997
BEST_EFFORT_SCORE = 1000
CRITICAL_PRIORITY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all containers of a node."""

    memory: int  # bytes that the node has
    cfs_period: int = PERIOD  # for which limits of CPU time hold; 0: they are not enforced
    swap: int = 0  # bytes that burstable pods share (LimitedSwap, on cgroup v2)
    kills_together: bool = False  # does a container without memory lose all its processes? (cgroup v2)


def cpu_shares(milli: int) -> int:
    """Weight on cgroup v1: 1024 for a whole core."""
    return min(max(milli * 1024 // 1000, MIN_SHARES), MAX_SHARES) if milli else MIN_SHARES


def cpu_quota(milli: int, period: int = PERIOD) -> int:
    """Microseconds of CPU time per period; 0 is no limit."""
    return max(milli * period // 1000, MIN_QUOTA) if milli else 0


def cpu_weight(shares: int) -> int:
    """The same weight on cgroup v2, whose scale is 1 to 10000."""
    return 1 + (shares - 2) * 9999 // 262142 if shares else 0


def linux_resources(pod: Object, container: Object, rules: Rules) -> dict[str, Any]:
    """The limits of one container, in the runtime's words. Where it has none, those of its pod hold for it."""
    whole = resources.amounts((spec_of(pod).get("resources") or {}).get("limits"))
    limits = {**whole, **fields.amounts_of(container, "limits")}
    requests = {**limits, **fields.amounts_of(container, "requests")}
    found: dict[str, Any] = {
        "cpu_shares": cpu_shares(requests.get("cpu", 0)),
        "oom_score_adj": oom_score_adj(pod, container, rules.memory),
    }
    if limits.get("cpu") and rules.cfs_period:
        found |= {"cpu_quota": cpu_quota(limits["cpu"], rules.cfs_period), "cpu_period": rules.cfs_period}
    memory, swap = limits.get("memory", 0), _swap(pod, requests.get("memory", 0), limits, rules)
    if memory:
        found["memory_limit_in_bytes"] = memory
    if rules.kills_together:
        found["unified"] = {"memory.oom.group": "1"}
    if memory or swap:
        found["memory_swap_limit_in_bytes"] = memory + swap  # the limit of both together
    return found


def _swap(pod: Object, asked: int, limits: dict[str, int], rules: Rules) -> int:
    """A container's part of the swap is its part of the memory.

    Source: https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/
    """
    if not asked or asked == limits.get("memory") or _is_critical(pod):
        return 0
    if resources.qos_class(pod) != "Burstable":
        return 0
    return int(asked / max(rules.memory, 1) * rules.swap)


def _is_critical(pod: Object) -> bool:
    return (spec_of(pod).get("priority") or 0) >= CRITICAL_PRIORITY


def pod_resources(pod: Object, cfs_period: int = PERIOD) -> dict[str, Any]:
    """The sum over the pod, for its sandbox: limits only if every container has one."""
    requests = resources.requests_of(pod)
    found: dict[str, Any] = {"cpu_shares": cpu_shares(requests.get("cpu", 0))}
    limits = resources.limits_of(pod)
    parts = [*(spec_of(pod).get("initContainers") or []), *(spec_of(pod).get("containers") or [])]
    pod_level = (spec_of(pod).get("resources") or {}).get("limits") or {}

    def everyone_has(resource: str) -> bool:
        return resource in pod_level or all(
            resource in ((part.get("resources") or {}).get("limits") or {}) for part in parts
        )

    if limits.get("cpu") and cfs_period and everyone_has("cpu"):
        found |= {"cpu_quota": cpu_quota(limits["cpu"], cfs_period), "cpu_period": cfs_period}
    if limits.get("memory") and everyone_has("memory"):
        found["memory_limit_in_bytes"] = limits["memory"]
    return found


def overhead(pod: Object, cfs_period: int = PERIOD) -> dict[str, Any]:
    """What the runtime class takes beside the containers."""
    amounts = resources.amounts(spec_of(pod).get("overhead"))
    found: dict[str, Any] = {}
    if amounts.get("cpu"):
        found["cpu_shares"] = cpu_shares(amounts["cpu"])
    if amounts.get("cpu") and cfs_period:
        found |= {"cpu_quota": cpu_quota(amounts["cpu"], cfs_period), "cpu_period": cfs_period}
    if amounts.get("memory"):
        found["memory_limit_in_bytes"] = amounts["memory"]
    return found


def oom_score_adj(pod: Object, container: Object, memory_capacity: int) -> int:
    """Who is killed first when memory runs out: those who use more than they asked for."""
    if _is_critical(pod):
        return GUARANTEED_SCORE
    match resources.qos_class(pod):
        case "Guaranteed":
            return GUARANTEED_SCORE
        case "BestEffort":
            return BEST_EFFORT_SCORE
    asked = fields.amounts_of(container, "requests").get("memory", 0)
    score = 1000 - 1000 * asked // max(memory_capacity, 1)
    # Never as safe as a Guaranteed pod, never as exposed as a BestEffort one.
    return min(max(score, 1000 + GUARANTEED_SCORE), BEST_EFFORT_SCORE - 1)
