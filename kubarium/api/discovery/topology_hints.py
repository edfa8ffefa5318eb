"""Pure: for whom an endpoint is near, so that kube-proxy may keep traffic in a zone or on a node.

    spec.trafficDistribution                     each endpoint is for its own zone, and for its own node where asked
    the annotation topology-mode: Auto           zones get endpoints by their share of the nodes' CPU; some are lent

Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution,
https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from kubarium.api.discovery import endpoint_slice as slices
from kubarium.apimachinery import conditions, quantity
from kubarium.apimachinery.object import Object, annotations_of, labels_of, spec_of, status_of

MODE = "service.kubernetes.io/topology-mode"
OLD_MODE = "service.kubernetes.io/topology-aware-hints"
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

OVERLOAD = 0.2
"""By so much may an endpoint be busier than its share."""

Shares = Mapping[str, float]
"""What part of all CPU each zone has."""


class NoHints(Exception):
    """Hints by CPU are not possible now; the message says why, in upstream's words."""


def is_automatic(service: Object) -> bool:
    """Does the Service ask for hints by the zones' CPU?"""
    annotations = annotations_of(service)
    return annotations.get(OLD_MODE, annotations.get(MODE)) in ("Auto", "auto")


def near(endpoint: Object, distribution: str) -> Object | None:
    """Hints for an endpoint of a Service with this `trafficDistribution`; only ready ones are for somebody."""
    if not distribution or not endpoint["conditions"]["ready"]:
        return None
    hints: Object = {}
    if endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if distribution == "PreferSameNode" and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints or None


def shares_of(nodes: Iterable[Object]) -> Shares:
    """The zones' shares of what ready worker nodes offer; nothing where a node does not say where it is."""
    cpu: Counter[str] = Counter()
    for node in nodes:
        labels = labels_of(node)
        if any(role in labels for role in CONTROL_PLANE) or not conditions.is_true(node, "Ready"):
            continue
        zone = labels.get(slices.ZONE) or ""
        amount = quantity.milli_value((status_of(node).get("allocatable") or {}).get("cpu") or 0)
        if not zone or not amount:
            return {}
        cpu[zone] += amount
    total = sum(cpu.values())
    return {zone: amount / total for zone, amount in cpu.items()} if len(cpu) > 1 else {}


def by_shares(endpoints: Sequence[Object], shares: Shares) -> list[str]:
    """The zone that each ready endpoint is for, in the order given. Raises NoHints."""
    wanted = _wanted(len(endpoints), shares)
    if any(not endpoint.get("zone") for endpoint in endpoints):
        raise NoHints("One or more endpoints do not have a zone specified")
    found = [endpoint["zone"] for endpoint in endpoints]
    given = {zone: found.count(zone) - wanted.get(zone, 0.0) for zone in {*found, *wanted}}
    while True:
        donor, receiver = max(given, key=lambda z: (given[z], z)), min(given, key=lambda z: (given[z], z))
        has_too_many = given[donor] >= 1.0 or (donor not in wanted and given[donor] > 0)
        if not has_too_many and given[receiver] > -1.0:
            return found
        if given[donor] <= 0 or given[receiver] >= 0:
            return found
        found[_last(found, donor)] = receiver
        given[donor] -= 1
        given[receiver] += 1


def _last(found: Sequence[str], zone: str) -> int:
    return len(found) - 1 - found[::-1].index(zone)


def _wanted(count: int, shares: Shares) -> dict[str, float]:
    """How many endpoints each zone should have. Raises NoHints when that is not possible within bounds."""
    if not shares:
        raise NoHints(
            "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
        )
    told = f"({count} endpoints, {len(shares)} zones)"
    if len(shares) > count:
        raise NoHints(f"Insufficient number of endpoints {told}")
    wanted: dict[str, float] = {}
    least = 0
    for zone, share in shares.items():
        minimum = math.ceil(share * count / (1 + OVERLOAD))
        wanted[zone] = max(share * count, float(minimum))
        least += minimum
    if least > count:
        why = (
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
        )
        raise NoHints(f"{why} {told}")
    return wanted


def add_to(endpoints: Iterable[Object], service: Object, shares: Shares) -> str:
    """Write hints into the endpoints of one address family; the answer is why there are none, or nothing."""
    ready = [endpoint for endpoint in endpoints if endpoint["conditions"]["ready"]]
    if not is_automatic(service):
        distribution = spec_of(service).get("trafficDistribution") or ""
        for endpoint in ready:
            if (hints := near(endpoint, distribution)) is not None:
                endpoint["hints"] = hints
        return ""
    ready.sort(key=slices.identity_of)  # so that the same endpoints get the same hints again
    try:
        zones = by_shares(ready, shares)
    except NoHints as error:
        return str(error)
    for endpoint, zone in zip(ready, zones, strict=True):
        endpoint["hints"] = {"forZones": [{"name": zone}]}
    return ""
