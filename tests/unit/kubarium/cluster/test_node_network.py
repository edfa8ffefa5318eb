"""Nodes become routes and CNI settings."""

from __future__ import annotations

import json

from kubarium.apimachinery.object import Object
from kubarium.cluster.node_network import (
    Machine,
    Placement,
    cni_configuration,
    placements_of,
    route_commands,
    wanted_routes,
)

A = Placement("node-1", "10.89.0.11", "10.244.0.0/24")
B = Placement("node-2", "10.89.0.12", "10.244.1.0/24")


def node(addresses: str = "10.89.0.11", *pod_cidrs: str) -> Object:
    listed = [{"type": "InternalIP", "address": address} for address in addresses.split(",")]
    return {
        "metadata": {"name": "node-1"},
        "spec": {"podCIDR": pod_cidrs[0], "podCIDRs": list(pod_cidrs)} if pod_cidrs else {},
        "status": {"addresses": [{"type": "Hostname", "address": "node-1"}, *listed]},
    }


def test_a_node_has_a_place_once_it_has_address_and_network() -> None:
    assert placements_of(node("10.89.0.11", "10.244.0.0/24")) == [A]
    assert placements_of(node()) == []
    assert placements_of({"metadata": {"name": "node-1"}}) == []


def test_a_node_needs_routes_to_the_others_and_the_host_to_all() -> None:
    assert wanted_routes(Machine("node-1"), [A, B]) == {"10.244.1.0/24": "10.89.0.12"}
    assert len(wanted_routes(Machine(""), [A, B])) == 2


def test_a_node_of_two_families_has_two_places() -> None:
    found = placements_of(node("10.89.0.11,fd00:10:89::11", "10.244.0.0/24", "fd00:10:244::/64"))
    second = Placement("node-1", "fd00:10:89::11", "fd00:10:244::/64")
    assert found == [A, second]
    assert wanted_routes(Machine(""), [*found, B], "-6") == {"fd00:10:244::/64": "fd00:10:89::11"}
    assert len(wanted_routes(Machine(""), [*found, B])) == 2
    one_address = node("10.89.0.11", "10.244.0.0/24", "fd00:10:244::/64")
    assert placements_of(one_address) == [A]


def test_only_differences_become_commands() -> None:
    wanted = {"10.244.0.0/24": "10.89.0.11", "10.244.1.0/24": "10.89.0.12"}
    present = {"10.244.0.0/24": "10.89.0.11", "10.244.1.0/24": "10.89.0.99", "10.244.9.0/24": "10.89.0.1"}
    assert route_commands(wanted, present) == [
        "route delete 10.244.9.0/24 proto 188",
        "route replace 10.244.1.0/24 via 10.89.0.12 proto 188",
    ]
    assert route_commands(wanted, wanted) == []


def test_the_cni_configuration_carries_the_network() -> None:
    bridge, portmap = json.loads(cni_configuration(["10.244.7.0/24", "fd00:7::/64"], 1400))["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.7.0/24"}], [{"subnet": "fd00:7::/64"}]]
    assert (bridge["mtu"], bridge["ipMasq"], portmap["capabilities"]) == (1400, False, {"portMappings": True})
