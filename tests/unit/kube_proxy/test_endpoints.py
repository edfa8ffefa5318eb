"""Endpoints from slices, and the Services that they belong to: merged by port, again only where something changed."""

from typing import Any

from kube_proxy.backends.rendered import Rendered
from kube_proxy.endpoints import EndpointTracker
from kube_proxy.family import IPV4, IPV6
from kube_proxy.ruleset import build_ruleset
from kube_proxy.services import PortName, ServicePort, ServiceTracker
from kube_proxy.topology import NodeView

HTTP, OTHER = PortName("default", "web", "http", "TCP"), PortName("default", "web", "other", "TCP")


def make_slice(name: str, *addresses: str, port: str = "http", ready: bool = True) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "web"}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "addressType": "IPv6" if ":" in "".join(addresses) else "IPv4",
        "ports": [{"name": port, "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


def seen(tracker: EndpointTracker) -> dict[str, list[str]]:
    return {name.port: [endpoint.ip for endpoint in found] for name, found in tracker.all().items()}


def test_slices_of_a_port_are_merged() -> None:
    tracker = EndpointTracker()
    assert tracker.put(make_slice("a", "10.0.0.2")) and tracker.put(make_slice("b", "10.0.0.1"))
    assert tracker.put(make_slice("c", "10.0.0.9", port="other"))
    assert seen(tracker) == {"http": ["10.0.0.1", "10.0.0.2"], "other": ["10.0.0.9"]}
    assert not tracker.put(make_slice("a", "10.0.0.2")), "nothing has changed"


def test_changes_are_seen_and_what_is_gone_is_gone() -> None:
    tracker = EndpointTracker()
    tracker.put(make_slice("a", "10.0.0.2"))
    tracker.put(make_slice("b", "10.0.0.1"))
    tracker.all()
    assert tracker.put(make_slice("a", "10.0.0.3", port="other"))
    assert seen(tracker) == {"http": ["10.0.0.1"], "other": ["10.0.0.3"]}
    assert tracker.remove(make_slice("b")) and not tracker.remove(make_slice("b"))
    assert seen(tracker) == {"other": ["10.0.0.3"]}


def test_each_family_has_its_own() -> None:
    first, second = EndpointTracker(IPV4), EndpointTracker(IPV6)
    for tracker in (first, second):
        tracker.put(make_slice("a", "10.0.0.2"))
        tracker.put(make_slice("b", "fd00::2"))
    assert seen(first) == {"http": ["10.0.0.2"]} and seen(second) == {"http": ["fd00::2"]}
    assert second.all()[HTTP][0].address == "[fd00::2]:8080"
    spec = {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00:96::9"], "ports": [{"port": 80}]}
    spec |= {
        "externalIPs": ["fd00:99::9"],
        "type": "LoadBalancer",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "fd00:99::1"}]}}
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec, "status": status}
    found = []
    for family in (IPV4, IPV6):
        services = ServiceTracker(family)
        assert services.put(service)
        found += [
            (port.cluster_ip, port.external_ips, port.load_balancer_ips, port.source_ranges)
            for port in services.all()
        ]
    assert found == [
        ("10.96.0.9", (), ("192.0.2.1",), ("10.0.0.0/8",)),
        ("fd00:96::9", ("fd00:99::9",), ("fd00:99::1",), ()),
    ]
    del spec["clusterIPs"]
    assert services.put(service) and not services.all()


def test_an_address_in_two_slices_counts_once_and_ready_wins() -> None:
    tracker = EndpointTracker()
    tracker.put(make_slice("a", "10.0.0.1", ready=False))
    tracker.put(make_slice("b", "10.0.0.1"))
    (endpoint,) = tracker.all()[HTTP]
    assert endpoint.ready


def test_only_rules_that_changed_are_rendered_again() -> None:
    tracker, rendered = EndpointTracker(), []
    cache = Rendered(lambda rule: rendered.append(rule.name) or rule.name)
    ports = [ServicePort(HTTP, "10.96.0.1", 80), ServicePort(OTHER, "10.96.0.1", 81)]
    for name, address in (("http", "10.0.0.1"), ("other", "10.0.0.2"), ("other", "10.0.0.3")):
        tracker.put(make_slice(name, address, port=name))
        assert cache.of(build_ruleset(ports, tracker.all(), NodeView("n")).rules) == [HTTP, OTHER]
    assert rendered == [HTTP, OTHER, OTHER, OTHER]
    assert cache.of([]) == [] and cache.of(build_ruleset(ports[:1], {}, NodeView("n")).rules) == [HTTP]
    assert rendered[-1] == HTTP
