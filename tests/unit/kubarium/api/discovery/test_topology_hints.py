"""Which zone an endpoint is for.

| shares of CPU    | endpoints by zone | for zones                                       |
|------------------|-------------------|-------------------------------------------------|
| a half each      | 3 a, 1 b          | one of a's is lent to b                         |
| a half each      | 2 a               | the second is lent to b, though it is not there |
| a half each      | 2 a, 1 b          | none: somebody would get more than 20 % too much |
| three quarters a | 3 a, 1 b          | as they are                                     |
"""

from __future__ import annotations

import pytest

from kubarium.api.discovery import topology_hints
from kubarium.apimachinery.object import Object


def endpoint(zone: str, number: int, ready: bool = True, node: str = "n1") -> Object:
    return {
        "addresses": [f"10.0.0.{number}"],
        "conditions": {"ready": ready},
        "zone": zone,
        "nodeName": node,
    }


def node(zone: str, cpu: str = "2", ready: str = "True", **labels: str) -> Object:
    return {
        "metadata": {"name": zone, "labels": {"topology.kubernetes.io/zone": zone, **labels}},
        "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def service(mode: str = "", distribution: str = "") -> Object:
    annotations = {"service.kubernetes.io/topology-mode": mode} if mode else {}
    return {"metadata": {"annotations": annotations}, "spec": {"trafficDistribution": distribution}}


HALVES = {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("shares", "zones", "wanted"),
    [
        (HALVES, "aaab", "aabb"),
        (HALVES, "aa", "ab"),
        ({"a": 0.75, "b": 0.25}, "aaab", "aaab"),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, "aaaaab", "aabbcc"),
        (HALVES, "aax" + "bbb", "aaabbb"),  # x has no ready node
    ],
)
def test_zones_lend_endpoints(shares: dict[str, float], zones: str, wanted: str) -> None:
    endpoints = [endpoint(zone, number) for number, zone in enumerate(zones)]
    assert sorted(topology_hints.by_shares(endpoints, shares)) == sorted(wanted)


@pytest.mark.parametrize(
    ("shares", "zones", "why"),
    [
        (
            {},
            "ab",
            "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes",
        ),
        (HALVES, "a", "Insufficient number of endpoints (1 endpoints, 2 zones)"),
        (
            HALVES,
            "aab",
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            "(3 endpoints, 2 zones)",
        ),
    ],
)
def test_hints_are_not_always_possible(shares: dict[str, float], zones: str, why: str) -> None:
    endpoints = [endpoint(zone, number) for number, zone in enumerate(zones)]
    assert topology_hints.add_to(endpoints, service("Auto"), shares) == why
    assert not any("hints" in one for one in endpoints)


def test_shares_are_of_ready_workers_that_say_where_they_are() -> None:
    role = {"node-role.kubernetes.io/control-plane": ""}
    nodes = [node("a", "3"), node("b", "1"), node("b", "9", ready="False"), node("c", "9", **role)]
    assert topology_hints.shares_of(nodes) == {"a": 0.75, "b": 0.25}
    assert topology_hints.shares_of([node("a"), node("a")]) == {}
    assert topology_hints.shares_of([*nodes, node("")]) == {}


def test_near_traffic_goes_to_ready_endpoints() -> None:
    endpoints = [endpoint("a", 1), endpoint("b", 2, ready=False), endpoint("", 3, node="n3")]
    topology_hints.add_to(endpoints, service(distribution="PreferSameNode"), {})
    assert [one.get("hints") for one in endpoints] == [
        {"forZones": [{"name": "a"}], "forNodes": [{"name": "n1"}]},
        None,
        {"forNodes": [{"name": "n3"}]},
    ]
    endpoints = [endpoint("a", 1), endpoint("", 2)]
    topology_hints.add_to(endpoints, service(distribution="PreferClose"), {})
    assert [one.get("hints") for one in endpoints] == [{"forZones": [{"name": "a"}]}, None]
