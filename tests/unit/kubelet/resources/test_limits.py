from __future__ import annotations

import pytest

from kubelet.resources import limits
from tests.unit.kubelet.making import make_container, make_pod

GIB = 1 << 30


def resources(cpu: str = "", memory: str = "", cpu_limit: str = "", memory_limit: str = "") -> dict:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    bounds = {key: value for key, value in (("cpu", cpu_limit), ("memory", memory_limit)) if value}
    return {"requests": requests, "limits": bounds}


def test_amounts_become_weights_and_quotas() -> None:
    container = make_container(resources=resources("250m", "1Gi", "500m", "2Gi"))
    assert limits.linux_resources(make_pod(container), container, limits.Rules(4 * GIB)) == {
        "cpu_shares": 256,
        "cpu_quota": 50000,
        "cpu_period": 100000,
        "memory_limit_in_bytes": 2 * GIB,
        "memory_swap_limit_in_bytes": 2 * GIB,
        "oom_score_adj": 750,
    }
    together = limits.Rules(4 * GIB, kills_together=True)
    found = limits.linux_resources(make_pod(container), container, together)
    assert found["unified"] == {"memory.oom.group": "1"}


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        (resources(), 1000),
        (resources("1", "1Gi", "1", "1Gi"), -997),
        (resources("1m"), 999),
        (resources("1m", "4Gi"), 3),
    ],
)
def test_oom_scores(fields: dict, score: int) -> None:
    container = make_container(resources=fields)
    assert limits.oom_score_adj(make_pod(container), container, 4 * GIB) == score


def test_a_pod_is_limited_only_if_all_its_containers_are() -> None:
    bounded, free = make_container("a", resources=resources("1", "", "1")), make_container("b")
    assert "cpu_quota" not in limits.pod_resources(make_pod(bounded, free))
    assert limits.pod_resources(make_pod(bounded))["cpu_quota"] == 100000


def test_a_container_without_limits_has_those_of_its_pod() -> None:
    free, bounded = make_container("a"), make_container("b", resources=resources("50m", "", "80m", "1Gi"))
    pod = make_pod(free, bounded, resources=resources("100m", "", "200m", "2Gi"))
    found = limits.linux_resources(pod, free, limits.Rules(4 * GIB))
    assert (found["cpu_quota"], found["cpu_shares"], found["memory_limit_in_bytes"]) == (20000, 204, 2 * GIB)
    found = limits.linux_resources(pod, bounded, limits.Rules(4 * GIB))
    assert (found["cpu_quota"], found["cpu_shares"], found["memory_limit_in_bytes"]) == (8000, 51, GIB)


def test_weights_on_both_versions() -> None:
    assert (limits.cpu_shares(0), limits.cpu_shares(1000)) == (2, 1024)
    assert (limits.cpu_weight(2), limits.cpu_weight(1024), limits.cpu_weight(262144)) == (1, 39, 10000)


def test_without_quotas_time_is_shared_by_weight_only() -> None:
    container = make_container(resources=resources("250m", "", "500m"))
    pod = make_pod(container, overhead={"cpu": "100m"})
    found = limits.linux_resources(pod, container, limits.Rules(4 * GIB, cfs_period=0))
    assert found["cpu_shares"] == 256 and "cpu_quota" not in found
    assert limits.pod_resources(pod, cfs_period=0) == {"cpu_shares": 358}
    assert limits.overhead(pod, cfs_period=0) == {"cpu_shares": 102}


@pytest.mark.parametrize(
    ("fields", "priority", "swap"),
    [
        (resources("", "1Gi", "", "2Gi"), 0, GIB // 4),
        (resources("", "1Gi"), 0, GIB // 4),
        (resources("1", "1Gi", "1", "1Gi"), 0, 0),  # Guaranteed
        (resources("1m", "1Gi", "", "1Gi"), 0, 0),  # it asked for all that it may have
        (resources("1m"), 0, 0),
        (resources("", "1Gi"), 2_000_000_000, 0),
    ],
)
def test_burstable_containers_share_the_swap(fields: dict, priority: int, swap: int) -> None:
    container = make_container(resources=fields)
    rules = limits.Rules(4 * GIB, swap=GIB)
    found = limits.linux_resources(make_pod(container, priority=priority), container, rules)
    assert found.get("memory_swap_limit_in_bytes", 0) - found.get("memory_limit_in_bytes", 0) == swap


def test_quotas_hold_for_the_period_that_the_kubelet_is_told() -> None:
    container = make_container(resources=resources("250m", "", "500m"))
    found = limits.linux_resources(make_pod(container), container, limits.Rules(4 * GIB, cfs_period=10_000))
    assert (found["cpu_quota"], found["cpu_period"]) == (5_000, 10_000)
    assert limits.pod_resources(make_pod(container), 5_000)["cpu_quota"] == 2_500
