"""From policies and pods to what the kernel of one node shall do, as a value. Pure.

A pod is isolated in a direction as soon as any policy for that direction selects it; then it may do what the rules of
all such policies allow together. Order does not matter, and nothing can be forbidden.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from addons.network_policy.members import IPV4, Members, Peers, Pod, is_of
from kubarium.apimachinery.labels import from_label_selector
from kubarium.apimachinery.object import Object, ObjectKey, namespace_of, spec_of

INGRESS, EGRESS = "ingress", "egress"
PEERS = {INGRESS: "from", EGRESS: "to"}

Ranges = tuple[str, ...]  # `80` or `8000-8080`


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Lets packets pass: from or to the members of a set, by a protocol, to some ports. What is empty is any."""

    peers: str = ""
    protocol: str = ""
    ports: Ranges = ()
    targets: str = ""  # a set of address, protocol and port in place of all this: named ports of other pods


@dataclass
class Plan:
    """Everything in our table of one family."""

    family: str = IPV4
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # addresses and ranges, by name
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # `address . protocol . port`, by name
    chains: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    ingress: dict[str, str] = field(default_factory=dict)  # address of an isolated pod -> its chain
    egress: dict[str, str] = field(default_factory=dict)
    known: tuple[str, ...] | None = None  # addresses of the node's pods; None: nobody asks


def build(policies: Collection[Object], members: Members, node: str) -> Plan:
    """The plan for the pods of a node."""
    planner = _Planner(members)
    local = {pod.key: pod for pod in members.on(node)}
    isolating: dict[str, dict[ObjectKey, list[Object]]] = {INGRESS: {}, EGRESS: {}}
    if policies:
        planner.plan.known = tuple(sorted(pod.address for pod in local.values()))
    for policy in policies:
        spec = spec_of(policy)
        own = Peers(from_label_selector(spec.get("podSelector") or {}), namespace_of(policy))
        chosen = [pod.key for pod in planner.pods_of(own) if pod.key in local]
        for kind in spec.get("policyTypes") or ():
            for key in chosen:
                isolating[kind.lower()].setdefault(key, []).append(policy)
    for direction, pods in ((INGRESS, planner.plan.ingress), (EGRESS, planner.plan.egress)):
        for key, its in isolating[direction].items():
            pods[local[key].address] = planner.chain(direction, its, local[key])
    members.keep_only(planner.used)
    return planner.plan


class _Planner:
    """Collects sets and chains; pods with the same rules share a chain."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self.plan = Plan(members.family)
        self.used: set[Peers] = set()

    def pods_of(self, peers: Peers) -> Sequence[Pod]:
        self.used.add(peers)
        return list(self._members.of(peers))

    def chain(self, direction: str, policies: list[Object], pod: Pod) -> str:
        found = {
            rule
            for policy in policies
            for part in spec_of(policy).get(direction) or []
            for rule in self._rules(direction, part, namespace_of(policy), pod)
        }
        rules = tuple(sorted(found))
        name = f"{direction}-{_digest(repr(rules))}"
        self.plan.chains[name] = rules
        return name

    def _rules(self, direction: str, part: Object, namespace: str, pod: Pod) -> Iterator[Rule]:
        peers = part.get(PEERS[direction]) or []
        places = [self._place(peer, namespace) for peer in peers]
        ports = part.get("ports") or []
        by_protocol = _by_protocol(ports, pod if direction == INGRESS else None)
        for name in [place.name for place in places] or [""]:
            if not ports:
                yield Rule(name)
            for protocol, ranges in by_protocol.items():
                yield Rule(name, protocol, tuple(sorted(ranges)))
        named = [port for port in ports if isinstance(port.get("port"), str)]
        if direction == EGRESS and named:
            yield from self._named_ports(named, places)

    def _place(self, peer: Object, namespace: str) -> _Place:
        """The set for one peer, which is made unless it is there."""
        if peer.get("ipBlock") is not None:
            block = peer["ipBlock"]
            place = _Place(f"block-{_digest(repr(block))}")
            self.plan.sets[place.name] = tuple(
                ranges_of(block["cidr"], block.get("except") or [], self.plan.family)
            )
            return place
        scope = peer.get("namespaceSelector")
        meant = Peers(
            from_label_selector(peer.get("podSelector") or {}),
            namespace if scope is None else "",
            None if scope is None else from_label_selector(scope),
        )
        place = _Place(f"pods-{_digest(str(meant))}", meant)
        addresses = {pod.address for pod in self.pods_of(meant)}
        self.plan.sets[place.name] = tuple(sorted(addresses))
        return place

    def _named_ports(self, ports: list[Object], places: list[_Place]) -> Iterator[Rule]:
        """A name means another number at each pod, and nothing at addresses that are no pods."""
        everybody = Peers(from_label_selector({}), namespaces=from_label_selector({}))
        meant = [place.peers for place in places if place.peers is not None] if places else [everybody]
        found = {
            f"{pod.address} . {_protocol_of(port)} . {number}"
            for peers in meant
            for pod in self.pods_of(peers)
            for port in ports
            for number in pod.numbers(port["port"], port.get("protocol") or "TCP")
        }
        name = f"ports-{_digest(repr([[str(peers) for peers in meant], ports]))}"
        self.plan.targets[name] = tuple(sorted(found))
        yield Rule(targets=name)


@dataclass(frozen=True, slots=True)
class _Place:
    """A set, and whom it stands for if these are pods."""

    name: str
    peers: Peers | None = None


def _by_protocol(ports: list[Object], pod: Pod | None) -> dict[str, set[str]]:
    """Ranges of ports for each protocol; an empty set is every port. Names are looked up at the pod, if any."""
    found: dict[str, set[str]] = {}
    everything = {_protocol_of(port) for port in ports if port.get("port") is None}
    for port in ports:
        protocol, first = _protocol_of(port), port.get("port")
        if protocol in everything:
            found[protocol] = set()
        elif isinstance(first, int):
            last = port.get("endPort") or first
            found.setdefault(protocol, set()).add(str(first) if last == first else f"{first}-{last}")
        elif pod is not None and (numbers := pod.numbers(str(first), protocol.upper())):
            found.setdefault(protocol, set()).update(str(number) for number in numbers)
    return found


def _protocol_of(port: Object) -> str:
    return str(port.get("protocol") or "TCP").lower()


def ranges_of(cidr: str, exceptions: Sequence[str], family: str = IPV4) -> list[str]:
    """A range without parts of it, as ranges; none in the other family."""
    if not is_of(family, cidr):
        return []
    kind: Any = ipaddress.IPv4Network if family == IPV4 else ipaddress.IPv6Network
    left = [kind(cidr, strict=False)]
    for text in exceptions:
        hole = kind(text, strict=False)
        left = [
            piece
            for network in left
            for piece in (network.address_exclude(hole) if hole.subnet_of(network) else [network])
            if not piece.subnet_of(hole)
        ]
    return [str(network) for network in ipaddress.collapse_addresses(left)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
