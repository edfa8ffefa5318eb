"""The order of what has none, as a program in Go with upstream's libraries gave it."""

from __future__ import annotations

import itertools

from controller_manager.controllers.networking import endpoint_slice_mirroring as mirroring
from kubarium.api.discovery import endpoint_subsets, port_order
from kubarium.apimachinery.object import Object

HTTP = {"name": "http", "port": 80, "protocol": "TCP"}
HTTPS = {"name": "https", "port": 443, "protocol": "TCP"}
GRPC = {"name": "grpc", "port": 9090, "protocol": "TCP", "appProtocol": "h2c"}
DNS = {"name": "dns", "port": 53, "protocol": "UDP"}
DNS_TCP = {"name": "dns-tcp", "port": 53, "protocol": "TCP"}
NAMELESS = {"port": 1, "protocol": "TCP"}


def test_ports_stand_as_go_prints_them() -> None:
    for ports in itertools.permutations([HTTP, HTTPS, DNS, DNS_TCP, GRPC]):
        in_subset = [port.get("name") for port in port_order.in_subset([*ports, NAMELESS])]
        assert in_subset == ["dns-tcp", "grpc", "dns", None, "https", "http"]
        in_slice = [port["name"] for port in port_order.in_slice([*ports, {**NAMELESS, "name": ""}])]
        assert in_slice == ["", "http", "grpc", "dns", "https", "dns-tcp"]


def test_so_do_subsets() -> None:
    reference = {"kind": "Pod", "namespace": "x", "name": "y", "uid": "z"}
    full = {"ip": "10.0.0.1", "hostname": "a", "nodeName": "n", "targetRef": reference}
    first = {"addresses": [full], "ports": [HTTP]}
    second = {"notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [HTTP]}
    third = {"addresses": [{"ip": "10.0.0.3"}], "ports": [HTTPS, GRPC]}
    fourth = {"addresses": [{"ip": "10.0.0.4"}]}
    assert port_order.of_subsets([first, second, third, fourth]) == [fourth, second, third, first]


def pod(name: str, ip: str, **ports: int) -> Object:
    listed = [{"name": key, "containerPort": number} for key, number in ports.items()]
    ready = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": listed}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready},
    }


def test_a_port_stands_with_all_who_serve_it() -> None:
    """Two pods serve one port, one of them another: these are two subsets, not one for each pod."""
    wanted = [
        {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
        for name, port in (("a", 1), ("b", 2))
    ]
    service = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"ports": wanted, "ipFamilies": ["IPv4"], "clusterIP": "10.96.0.9"},
    }
    pods = [pod("one", "10.0.0.2", a=80, b=90), pod("two", "10.0.0.1", a=80)]
    found = endpoint_subsets.subsets_for(service, pods)
    told = {
        tuple(port["name"] for port in one["ports"]): [each["ip"] for each in one["addresses"]]
        for one in found
    }
    assert told == {("a",): ["10.0.0.1", "10.0.0.2"], ("b",): ["10.0.0.2"]}
    service["spec"] = {"clusterIP": "None", "ipFamilies": ["IPv4"]}
    (only,) = endpoint_subsets.subsets_for(service, pods)
    assert "ports" not in only and len(only["addresses"]) == 2


def test_subsets_with_the_same_ports_are_mirrored_into_one_slice() -> None:
    annotations = {"a": "b", "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}
    endpoints = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "annotations": annotations},
        "subsets": [
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [HTTPS, HTTP]},
            {"notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [HTTP, HTTPS]},
        ],
    }
    (one,) = mirroring.slices_for(endpoints, 1000)
    assert one["ports"] == [HTTP, HTTPS] and one["metadata"]["annotations"] == {"a": "b"}
    told = [(each["addresses"], each["conditions"]["ready"]) for each in one["endpoints"]]
    assert told == [(["10.0.0.1"], True), (["10.0.0.2"], False)]
