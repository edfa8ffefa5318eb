"""A ruleset as chains of iptables rules, with upstream's names, so that people find what the books describe. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from kube_proxy.backends.backend import Settings
from kube_proxy.endpoints import Endpoint
from kube_proxy.ruleset import Rule
from kube_proxy.services import PortName

Chains = dict[str, tuple[str, ...]]

SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ = (
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
)
EXTERNAL, FORWARD, FIREWALL = "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL"
LOOPBACK = "KUBE-FIREWALL"
OURS = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-")
CANARY, CANARY_TABLES = "KUBE-PROXY-CANARY", ("mangle", "nat", "filter")  # gone: somebody flushed our rules


@dataclass(frozen=True, slots=True)
class Part:
    """One Service port: its own chains, and its lines in the chains that all share."""

    portals: tuple[str, ...]
    node_ports: tuple[str, ...]
    chains: Chains
    refused_inside: tuple[str, ...]
    refused_outside: tuple[str, ...]
    firewall: tuple[str, ...]
    health: tuple[str, ...]


def render(rule: Rule, settings: Settings) -> Part:
    """The part of one Service port."""
    return Part(
        portals=tuple(_portals(rule)),
        node_ports=tuple(_node_port(rule)),
        chains=_service_chains(rule, settings),
        refused_inside=tuple(_refuse_internal(rule)),
        refused_outside=tuple(_refuse_external(rule)),
        firewall=tuple(_firewall(rule)),
        health=tuple(_health(rule)),
    )


def assemble(parts: list[Part], settings: Settings) -> dict[str, Chains]:
    """All chains of both tables."""
    mark = f"{settings.masquerade_mark:#x}"
    own = {name: rules for part in parts for name, rules in part.chains.items()}
    nat: Chains = {
        MARK_MASQ: (f"-j MARK --or-mark {mark}",),
        POSTROUTING: (
            f"-m mark ! --mark {mark}/{mark} -j RETURN",
            f"-j MARK --xor-mark {mark}",
            '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
        ),
        **own,
        SERVICES: (*_joined(part.portals for part in parts), *_to_node_ports(settings)),
        NODE_PORTS: _joined(part.node_ports for part in parts),
    }
    invalid = () if settings.conntrack_is_liberal else ("-m conntrack --ctstate INVALID -j DROP",)
    known = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    filtering: Chains = {
        SERVICES: _joined(part.refused_inside for part in parts),
        EXTERNAL: _joined(part.refused_outside for part in parts),
        NODE_PORTS: _joined(part.health for part in parts),
        FIREWALL: _joined(part.firewall for part in parts),
        LOOPBACK: _guard_loopback(settings),
        FORWARD: (
            *invalid,
            f"{_comment('kubernetes forwarding rules')} -m mark --mark {mark}/{mark} -j ACCEPT",
            f"{_comment('kubernetes forwarding conntrack rule')} {known}",
        ),
    }
    return {"filter": filtering, "nat": nat}


def _joined(lines: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(line for group in lines for line in group)


def _health(rule: Rule) -> list[str]:
    if not rule.port.health_check_node_port:
        return []
    comment = _comment(f"{rule.name} health check node port")
    return [f"{comment} -m tcp -p tcp --dport {rule.port.health_check_node_port} -j ACCEPT"]


def chain_name(prefix: str, *parts: str) -> str:
    """`KUBE-SVC-` and sixteen characters of a hash, as upstream computes it."""
    digest = hashlib.sha256("".join(parts).encode()).digest()
    return f"KUBE-{prefix}-{base64.b32encode(digest).decode()[:16]}"


def service_chain(prefix: str, name: PortName) -> str:
    """The chain of a Service port: SVC (cluster), SVL (local), EXT (external), FW (firewall)."""
    return chain_name(prefix, str(name), name.protocol.lower())


def endpoint_chain(name: PortName, endpoint: Endpoint) -> str:
    """The chain of one endpoint of a Service port."""
    return chain_name("SEP", str(name), name.protocol.lower(), endpoint.address)


def _portals(rule: Rule) -> list[str]:
    found = []
    if rule.internal:
        to = service_chain("SVL" if rule.port.internal_local else "SVC", rule.name)
        found.append(
            f"{_comment(f'{rule.name} cluster IP')} {_destination(rule, rule.port.cluster_ip)} -j {to}"
        )
    if rule.anywhere:
        to = service_chain("EXT", rule.name)
        for address in rule.port.external_ips:
            found.append(f"{_comment(f'{rule.name} external IP')} {_destination(rule, address)} -j {to}")
        if rule.port.source_ranges:
            to = service_chain("FW", rule.name)
        for address in rule.port.load_balancer_ips:
            found.append(f"{_comment(f'{rule.name} loadbalancer IP')} {_destination(rule, address)} -j {to}")
    return found


def _node_port(rule: Rule) -> list[str]:
    if not rule.port.node_port or not rule.anywhere:
        return []
    protocol = rule.name.protocol.lower()
    to = service_chain("EXT", rule.name)
    return [f"{_comment(str(rule.name))} -m {protocol} -p {protocol} --dport {rule.port.node_port} -j {to}"]


def _to_node_ports(settings: Settings) -> list[str]:
    comment = _comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    if settings.node_port_addresses:
        return [f"{comment} -d {address} -j {NODE_PORTS}" for address in settings.node_port_addresses]
    not_loopback = "" if settings.localhost_node_ports else f"! -d {settings.family.loopback} "
    return [f"{comment} {not_loopback}-m addrtype --dst-type LOCAL -j {NODE_PORTS}"]


def _service_chains(rule: Rule, settings: Settings) -> Chains:
    """SVC for all endpoints, SVL for those of this node, EXT for traffic from outside, SEP for each endpoint."""
    chains: Chains = {}
    strangers = _masquerade_strangers(rule, settings)
    if rule.uses_cluster:
        head = () if rule.port.internal_local else strangers
        chains[service_chain("SVC", rule.name)] = (*head, *_pick(rule, rule.cluster))
    if rule.uses_local:
        head = strangers if rule.port.internal_local else ()
        chains[service_chain("SVL", rule.name)] = (*head, *_pick(rule, rule.local))
    if rule.is_reachable_from_outside and rule.anywhere:
        chains[service_chain("EXT", rule.name)] = _external(rule, settings)
        if rule.port.source_ranges and rule.port.load_balancer_ips:
            chains[service_chain("FW", rule.name)] = _admit(rule)
    for endpoint in rule.all_endpoints:
        chains[endpoint_chain(rule.name, endpoint)] = _endpoint(rule, endpoint)
    return chains


def _external(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic from outside. What comes from within the cluster is spared the detour, so that Local is not for it."""
    cluster = service_chain("SVC", rule.name)
    if not rule.port.external_local:
        masquerade = f"{_comment(f'masquerade traffic for {rule.name} external destinations')} -j {MARK_MASQ}"
        return (masquerade, f"-j {cluster}")
    rules: list[str] = []
    if settings.local:
        comment = _comment(f"pod traffic for {rule.name} external destinations")
        rules.append(f"{comment} {settings.local.iptables(True)} -j {cluster}")
    comment = _comment(f"masquerade LOCAL traffic for {rule.name} external destinations")
    rules.append(f"{comment} -m addrtype --src-type LOCAL -j {MARK_MASQ}")
    comment = _comment(f"route LOCAL traffic for {rule.name} external destinations")
    rules.append(f"{comment} -m addrtype --src-type LOCAL -j {cluster}")
    if rule.local:
        rules.append(f"-j {service_chain('SVL', rule.name)}")
    return tuple(rules)


def _masquerade_strangers(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic that does not come from a pod must come back through this node."""
    where = f"{_comment(f'{rule.name} cluster IP')} {_destination(rule, rule.port.cluster_ip)}"
    if settings.masquerade_all:
        return (f"{where} -j {MARK_MASQ}",)
    if settings.local:
        return (f"{where} {settings.local.iptables(False)} -j {MARK_MASQ}",)
    return ()


def _pick(rule: Rule, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    """Whoever came before goes where it was (affinity); anybody else to one endpoint at random."""
    rules = []
    if rule.port.affinity_seconds:
        for endpoint in endpoints:
            chain = endpoint_chain(rule.name, endpoint)
            recent = f"-m recent --name {chain} --rcheck --seconds {rule.port.affinity_seconds} --reap"
            rules.append(f"{_comment(f'{rule.name} -> {endpoint.address}')} {recent} -j {chain}")
    for index, endpoint in enumerate(endpoints):
        left = len(endpoints) - index
        chance = f"-m statistic --mode random --probability {1 / left:.11f} " if left > 1 else ""
        comment = _comment(f"{rule.name} -> {endpoint.address}")
        rules.append(f"{comment} {chance}-j {endpoint_chain(rule.name, endpoint)}")
    return tuple(rules)


def _endpoint(rule: Rule, endpoint: Endpoint) -> tuple[str, ...]:
    """A pod that reaches itself is masqueraded, or its answer would never leave it."""
    protocol = rule.name.protocol.lower()
    recent = (
        f"-m recent --name {endpoint_chain(rule.name, endpoint)} --set " if rule.port.affinity_seconds else ""
    )
    return (
        f"{_comment(str(rule.name))} -s {endpoint.ip} -j {MARK_MASQ}",
        f"{_comment(str(rule.name))} {recent}-m {protocol} -p {protocol} -j DNAT --to-destination {endpoint.address}",
    )


def _refuse_internal(rule: Rule) -> list[str]:
    if rule.internal:
        return []
    target, why = ("DROP", "no local endpoints") if rule.anywhere else ("REJECT", "no endpoints")
    return [f"{_comment(f'{rule.name} has {why}')} {_destination(rule, rule.port.cluster_ip)} -j {target}"]


def _refuse_external(rule: Rule) -> list[str]:
    if rule.external:
        return []
    target, why = ("DROP", "no local endpoints") if rule.anywhere else ("REJECT", "no endpoints")
    comment = _comment(f"{rule.name} has {why}")
    found = [f"{comment} {_destination(rule, address)} -j {target}" for address in rule.external_addresses]
    if rule.port.node_port:
        protocol = rule.name.protocol.lower()
        port = f"-m {protocol} -p {protocol} --dport {rule.port.node_port}"
        found.append(f"{comment} -m addrtype --dst-type LOCAL {port} -j {target}")
    return found


def _firewall(rule: Rule) -> list[str]:
    """Who may not come in by a load balancer's address still has it as destination: nobody sent it on."""
    if not rule.port.source_ranges:
        return []
    comment = _comment(f"{rule.name} traffic not accepted by {service_chain('FW', rule.name)}")
    return [f"{comment} {_destination(rule, address)} -j DROP" for address in rule.port.load_balancer_ips]


def _admit(rule: Rule) -> tuple[str, ...]:
    """The sources that a load balancer lets in; for the others see `_firewall`."""
    comment, to = _comment(f"{rule.name} loadbalancer IP"), service_chain("EXT", rule.name)
    rest = _comment(f"other traffic to {rule.name} will be dropped by {FIREWALL}")
    return (*(f"{comment} -s {source} -j {to}" for source in rule.port.source_ranges), rest)


def _guard_loopback(settings: Settings) -> tuple[str, ...]:
    """NodePorts on 127.0.0.1 need route_localnet; strangers must not reach loopback by it (CVE-2020-8558)."""
    if not settings.localhost_node_ports:
        return ()
    where = "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
    return (f"{_comment('block incoming localnet connections')} {where} -j DROP",)


def _destination(rule: Rule, address: str) -> str:
    protocol = rule.name.protocol.lower()
    return f"-m {protocol} -p {protocol} -d {address} --dport {rule.port.port}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"'
