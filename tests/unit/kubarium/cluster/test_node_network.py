"""Nodes become routes and CNI settings."""

from __future__ import annotations

import json

from kubarium.apimachinery.object import Object
from kubarium.cluster.node_network import (
    Machine,
    Placement,
    cni_configuration,
    placement_of,
    route_commands,
    wanted_routes,
)

A = Placement("node-1", "10.89.0.11", "10.244.0.0/24")
B = Placement("node-2", "10.89.0.12", "10.244.1.0/24")


def node(address: str = "10.89.0.11", pod_cidr: str = "10.244.0.0/24") -> Object:
    addresses = [{"type": "Hostname", "address": "node-1"}, {"type": "InternalIP", "address": address}]
    return {
        "metadata": {"name": "node-1"},
        "spec": {"podCIDR": pod_cidr} if pod_cidr else {},
        "status": {"addresses": addresses},
    }


def test_a_node_has_a_place_once_it_has_address_and_network() -> None:
    assert placement_of(node()) == A
    assert placement_of(node(pod_cidr="")) is None
    assert placement_of({"metadata": {"name": "node-1"}}) is None


def test_a_node_needs_routes_to_the_others_and_the_host_to_all() -> None:
    assert wanted_routes(Machine("node-1"), [A, B]) == {"10.244.1.0/24": "10.89.0.12"}
    assert len(wanted_routes(Machine(""), [A, B])) == 2


def test_only_differences_become_commands() -> None:
    wanted = {"10.244.0.0/24": "10.89.0.11", "10.244.1.0/24": "10.89.0.12"}
    present = {"10.244.0.0/24": "10.89.0.11", "10.244.1.0/24": "10.89.0.99", "10.244.9.0/24": "10.89.0.1"}
    assert route_commands(wanted, present) == [
        "route delete 10.244.9.0/24 proto 188",
        "route replace 10.244.1.0/24 via 10.89.0.12 proto 188",
    ]
    assert route_commands(wanted, wanted) == []


def test_the_cni_configuration_carries_the_network() -> None:
    bridge, portmap = json.loads(cni_configuration("10.244.7.0/24", 1400))["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.7.0/24"}]]
    assert (bridge["mtu"], bridge["ipMasq"], portmap["capabilities"]) == (1400, False, {"portMappings": True})
