"""Which UDP flows are stale after a change."""

from kube_proxy.conntrack import stale_flows
from kube_proxy.endpoints import Endpoint
from kube_proxy.ruleset import Rule
from kube_proxy.services import PortName, ServicePort

NAME = PortName("default", "dns", "", "UDP")


def rule(*addresses: str, node_port: int = 0) -> Rule:
    endpoints = tuple(Endpoint(address, 53, "node-1") for address in addresses)
    return Rule(ServicePort(NAME, "10.96.0.10", 53, node_port), endpoints, endpoints, bool(endpoints))


def test_flows_to_an_endpoint_that_left_are_stale() -> None:
    found = list(stale_flows(rule("10.0.0.1", "10.0.0.2", node_port=30053), rule("10.0.0.2")))
    assert found == [
        ("--orig-dst", "10.96.0.10", "--orig-port-dst", "53", "--dst-nat", "10.0.0.1"),
        ("--orig-port-dst", "30053", "--dst-nat", "10.0.0.1"),
    ]


def test_flows_of_a_service_that_is_gone_are_stale() -> None:
    assert len(list(stale_flows(rule("10.0.0.1"), None))) == 1


def test_flows_made_while_nobody_served_are_stale() -> None:
    assert list(stale_flows(rule(), rule("10.0.0.1"))) == [
        ("--orig-dst", "10.96.0.10", "--orig-port-dst", "53")
    ]


def test_nothing_is_stale_when_endpoints_stay() -> None:
    assert not list(stale_flows(rule("10.0.0.1"), rule("10.0.0.1", "10.0.0.2")))
