from __future__ import annotations

from typing import Any

import pytest

from kubelet.network.dns import ClusterDNS, Resolver, parse, resolver_of
from tests.unit.kubelet.making import make_pod

NODE = Resolver(("192.0.2.53",), ("example.org",), ("timeout:2",))
CLUSTER = ClusterDNS(("10.96.0.10",), "cluster.local", node=NODE)
FIRST = Resolver(
    ("10.96.0.10",),
    ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"),
    ("ndots:5",),
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, FIRST),
        ({"dnsPolicy": "Default"}, NODE),
        ({"hostNetwork": True}, NODE),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, FIRST),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["1.1.1.1"],
                    "searches": ["a"],
                    "options": [{"name": "ndots", "value": "2"}],
                },
            },
            Resolver(("1.1.1.1",), ("a",), ("ndots:2",)),
        ),
    ],
)
def test_policies(spec: dict[str, Any], expected: Resolver) -> None:
    assert resolver_of(make_pod(**spec), CLUSTER) == (expected, [])


def test_options_of_the_pod_replace_those_of_the_policy() -> None:
    pod = make_pod(dnsConfig={"options": [{"name": "ndots", "value": "1"}, {"name": "edns0"}]})
    assert resolver_of(pod, CLUSTER)[0].options == ("ndots:1", "edns0")


def test_what_a_pod_does_not_get_is_told() -> None:
    config = {
        "nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3"],
        "searches": ["a" * 200 + str(n) for n in range(12)],
    }
    resolver, warnings = resolver_of(make_pod(dnsConfig=config), CLUSTER)
    assert resolver.servers == ("10.96.0.10", "1.1.1.1", "1.1.1.2") and len(resolver.searches) < 16
    assert warnings[0] == (
        "DNSConfigForming",
        "Nameserver limits were exceeded, some nameservers have been omitted, "
        "the applied nameserver line is: 10.96.0.10 1.1.1.1 1.1.1.2",
    )
    assert warnings[1][1].startswith(
        "Search Line limits were exceeded, some search paths have been omitted, the"
    )
    fallen_back, warnings = resolver_of(make_pod(), ClusterDNS(node=NODE))
    assert fallen_back == NODE and warnings[0][0] == "MissingClusterDNS"
    assert warnings[0][1].startswith(
        'pod: "web_default(uid-1)". kubelet does not have ClusterDNS IP configured'
    )


def test_parse() -> None:
    assert parse("# x\nnameserver 192.0.2.53\nsearch example.org\noptions timeout:2\n") == NODE
